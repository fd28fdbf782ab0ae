// What guards found and did, to look at: guards by verdict, restorations, ARM calls, outcomes that wait.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags

resource insights 'Microsoft.Insights/components@2020-02-02' existing = { name: names.insights }

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insights.id, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'AMLFS Network Guard (${names.functionApp})'
    description: 'Guards by verdict, restorations over time and by principal, ARM calls, outcomes that wait.'
    category: 'workbook'
    version: '1.0'
    sourceId: insights.id
    serializedData: replace(loadTextContent('workbook.json'), '{insights}', insights.id)
  }
}
