// Who is told where what an Event Grid topic has to deliver does not arrive.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param tags Tags
param serviceSubscriptionId string
param topicId string

@description('What an alert says.')
param text string

@description('More than so many in a quarter of an hour sound the alert, by metric.')
param limits { *: int }

@description('The one event subscription of the topic that is ours; without it, all of them.')
param eventSubscription string?

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  name: names.actionGroup
}

resource alerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for limit in items(limits): {
    name: '${names.alert}-${last(split(topicId, '/'))}-${toLower(limit.key)}'
    location: 'global'
    tags: tags
    properties: {
      description: text
      severity: 2
      enabled: true
      scopes: [topicId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: limit.key
            criterionType: 'StaticThresholdCriterion'
            metricName: limit.key
            dimensions: eventSubscription == null
              ? []
              : [{ name: 'EventSubscriptionName', operator: 'Include', values: [eventSubscription!] }]
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: limit.value
          }
        ]
      }
      actions: [{ actionGroupId: actionGroup.id }]
    }
  }
]
