// Who is told where a system topic's events do not reach the service.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param tags Tags
param serviceSubscriptionId string
param topicId string

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  name: names.actionGroup
}

// Single failures are normal and tried again; what was given up is not.
var limits = { DeadLetteredCount: 0, DroppedEventCount: 0, DeliveryAttemptFailCount: 20 }

resource alerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for limit in items(limits): {
    name: '${names.alert}-${last(split(topicId, '/'))}-${toLower(limit.key)}'
    location: 'global'
    tags: tags
    properties: {
      description: 'AMLFS guard: events do not reach the service; the sweep finds what they tell of'
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
            dimensions: [{ name: 'EventSubscriptionName', operator: 'Include', values: [names.eventSubscription] }]
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
