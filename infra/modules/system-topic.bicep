// The system topic of a source that has none yet.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param tags Tags
param serviceSubscriptionId string
param topicName string
param topicType string
param source string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: topicName
  // topics of subscriptions and resource groups are global
  #disable-next-line no-hardcoded-location
  location: 'global'
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: source
    topicType: topicType
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  name: names.workspace
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: topic
  name: 'to-workspace'
  properties: {
    workspaceId: workspace.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}
