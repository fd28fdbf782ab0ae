// What somebody must be told of; docs/operations.md has a runbook for each.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags

resource insights 'Microsoft.Insights/components@2020-02-02' existing = { name: names.insights }
resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = { name: names.actionGroup }

// Each looks for what the service, or the Functions host, logs; a test holds these words against the log.
var inLogs = {
  'open-circuit': {
    title: 'AMLFS guard: somebody keeps undoing a guard, it has stopped writing'
    severity: 1
    query: 'traces | where message has "outcome amlfs.guard.suspended" and message has "circuit open"'
    window: 'PT5M'
  }
  blocked: {
    title: 'AMLFS guard: a file system\'s network is wrong and the guard may not mend it'
    severity: 1
    query: 'traces | where message has "outcome amlfs.guard.blocked"'
    window: 'PT5M'
  }
  failed: {
    title: 'AMLFS guard: a look or a write failed for good'
    severity: 1
    query: 'traces | where message has "outcome amlfs.guard.failed"'
    window: 'PT5M'
  }
  'poison-message': {
    title: 'AMLFS guard: a message could not be handled, however often it was tried'
    severity: 2
    query: 'traces | where message has "lay in the poison queue" or message has "Message has reached MaxDequeueCount"'
    window: 'PT5M'
  }
  'unsent-outcomes': {
    title: 'AMLFS guard: the outcome topic does not take outcomes'
    severity: 2
    query: 'traces | where message has "outcomes still wait"'
    window: 'PT30M'
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in items(inLogs): {
    name: '${names.alert}-${alert.key}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: alert.value.title
      severity: alert.value.severity
      enabled: true
      scopes: [insights.id]
      evaluationFrequency: 'PT5M'
      windowSize: alert.value.window
      criteria: {
        allOf: [
          {
            query: alert.value.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: false
      actions: { actionGroups: [actionGroup.id] }
    }
  }
]

// The net under the events must itself be seen to work.
resource noSweep 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${names.alert}-no-sweep'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'AMLFS guard: no sweep has ended well for an hour'
    severity: 1
    enabled: true
    scopes: [insights.id]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    criteria: {
      allOf: [
        {
          query: 'requests | where name == "sweep" and success == true'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [actionGroup.id] }
  }
}

module outcomeAlerts 'topic-alerts.bicep' = {
  params: {
    names: names
    tags: tags
    serviceSubscriptionId: subscription().subscriptionId
    topicId: resourceId('Microsoft.EventGrid/topics', names.outcomeTopic)
    text: 'AMLFS guard: an outcome was not taken, or did not reach a subscriber'
    limits: { PublishFailCount: 0, DeadLetteredCount: 0, DroppedEventCount: 0 }
  }
}
