// What somebody must be told of. docs/operations.md has a runbook for each alert.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags

@description('Where docs/operations.md can be read; alerts link to its sections.')
param runbooks string

resource insights 'Microsoft.Insights/components@2020-02-02' existing = { name: names.insights }
resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = { name: names.actionGroup }

// Lines that the service logs as JSON behind a fixed word (shared/log_events.py).
func lines(event string) string =>
  'traces | where message startswith "amlfs-event {" | extend event = parse_json(substring(message, 12)) | where tostring(event.event) == "${event}"'

// A state is logged when it begins, with every sweep while it lasts, and when it ends: the newest line counts.
func inState(state string) string =>
  '${lines('states')} | summarize arg_max(timestamp, event) by guard = tostring(event.guard) | extend summary = tostring(event.states["${state}"]) | where isnotempty(summary) | project timestamp, guard, summary'

// What the newest sweep says of the service as a whole.
func ofSweep(condition string, summary string) string =>
  '${lines('sweep')} | summarize arg_max(timestamp, event) | where ${condition} | project timestamp, summary = ${summary}'

// Each line sounds once, also one that arrives late: the window is longer than the frequency.
func justArrived(frequency string) string => 'where ingestion_time() > ago(${toLower(substring(frequency, 2))})'

var often = 'PT5M'
var alerts = {
  'open-circuit': {
    title: 'somebody keeps undoing a guard, it has stopped writing'
    severity: 1
    query: inState('open-circuit')
    dimensions: ['guard', 'summary']
    isState: true
    frequency: often
    window: 'PT1H'
  }
  blocked: {
    title: 'a file system\'s network is wrong, and the guard may not repair it'
    severity: 1
    query: inState('blocked')
    dimensions: ['guard', 'summary']
    isState: true
    frequency: often
    window: 'PT1H'
  }
  failed: {
    title: 'a look at a network, or a write to it, fails'
    severity: 1
    query: inState('failed')
    dimensions: ['guard', 'summary']
    isState: true
    frequency: often
    window: 'PT1H'
  }
  unprotected: {
    title: 'a guard was deleted, or protects less than before'
    severity: 1
    query: '${lines('outcome')} | ${justArrived(often)} | where tostring(event.outcome) == "deleted" or tobool(event.weakened) == true | project timestamp, guard = tostring(event.guard), summary = tostring(event.summary)'
    dimensions: ['guard', 'summary']
    isState: false
    frequency: often
    window: 'PT30M'
  }
  degraded: {
    title: 'a guard cannot be read, or another guard holds its network'
    severity: 2
    query: inState('degraded')
    dimensions: ['guard', 'summary']
    isState: true
    frequency: 'PT15M'
    window: 'PT1H'
  }
  'not-restoring': {
    title: 'a guard has restored nothing for a day: it is suspended, or audits and sees drift'
    severity: 2
    query: inState('not-restoring')
    dimensions: ['guard', 'summary']
    isState: true
    frequency: 'PT1H'
    window: 'PT2H'
  }
  'poison-message': {
    title: 'a message could not be handled, however often it was tried'
    severity: 2
    query: 'traces | ${justArrived(often)} | where message has "lay in the poison queue" or message has "Message has reached MaxDequeueCount" | project timestamp, summary = message'
    dimensions: ['summary']
    isState: false
    frequency: often
    window: 'PT30M'
  }
  'unsent-outcomes': {
    title: 'the outcome topic does not take outcomes'
    severity: 2
    query: ofSweep('toint(event.unsent) > 0', 'strcat(tostring(event.unsent), " outcomes wait")')
    dimensions: ['summary']
    isState: true
    frequency: 'PT15M'
    window: 'PT1H'
  }
  'service-tags-old': {
    title: 'the list of service tags is older than 60 days: deploy a newer version of the service'
    severity: 3
    query: ofSweep(
      'toint(event.serviceTagsDays) > 60',
      'strcat("The service tags are ", tostring(event.serviceTagsDays), " days old")'
    )
    dimensions: []
    isState: true
    frequency: 'PT6H'
    window: 'P1D'
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in items(alerts): {
    name: '${names.alert}-${alert.key}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'AMLFS guard: ${alert.value.title}'
      description: 'What to do: ${runbooks}#${alert.key}'
      severity: alert.value.severity
      enabled: true
      scopes: [insights.id]
      evaluationFrequency: alert.value.frequency
      windowSize: alert.value.window
      criteria: {
        allOf: [
          {
            query: alert.value.query
            timeAggregation: 'Count'
            dimensions: map(alert.value.dimensions, name => { name: name, operator: 'Include', values: ['*'] })
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: alert.value.isState // it is over when the state is
      actions: {
        actionGroups: [actionGroup.id]
        customProperties: { runbook: '${runbooks}#${alert.key}' }
      }
    }
  }
]

// The sweep finds what events miss, so it must itself be seen to work.
resource noSweep 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${names.alert}-no-sweep'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'AMLFS guard: no sweep has succeeded for an hour'
    description: 'What to do: ${runbooks}#no-sweep'
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
    actions: {
      actionGroups: [actionGroup.id]
      customProperties: { runbook: '${runbooks}#no-sweep' }
    }
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
