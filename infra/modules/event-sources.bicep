// What tells of changes in one subscription: all of it, or some of its resource groups.

import { NetworkScope, Tags } from '../types.bicep'
import { Names } from '../names.bicep'

targetScope = 'subscription'

param names Names
param location string
param tags Tags
param serviceSubscriptionId string
param network NetworkScope
param existingTopics { *: string }

var wholeSubscription = [
  {
    id: '/subscriptions/${network.subscriptionId}'
    topicType: 'Microsoft.Resources.Subscriptions'
    topicName: names.systemTopic
  }
]
var sources = empty(network.?resourceGroups)
  ? wholeSubscription
  : map(network.?resourceGroups ?? [], group => {
      id: '/subscriptions/${network.subscriptionId}/resourceGroups/${group}'
      topicType: 'Microsoft.Resources.ResourceGroups'
      topicName: '${names.systemTopic}-${take(uniqueString(toLower(group)), 8)}' // groups' names may hold what topics' may not
    })
var newSources = filter(sources, one => !contains(existingTopics, toLower(one.id)))
var oldSources = filter(sources, one => contains(existingTopics, toLower(one.id)))

// A system topic lies in the subscription of its source; the alerts on those of others lie here too.
resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: names.eventGroup
  location: location
  tags: tags
}

module topics 'system-topic.bicep' = [
  for one in newSources: {
    scope: resourceGroup(names.eventGroup)
    dependsOn: [group]
    params: {
      names: names
      tags: tags
      serviceSubscriptionId: serviceSubscriptionId
      topicName: one.topicName
      topicType: one.topicType
      source: one.id
    }
  }
]

module subscriptions 'event-subscription.bicep' = [
  for (one, i) in newSources: {
    scope: resourceGroup(names.eventGroup)
    dependsOn: [topics[i]]
    params: {
      names: names
      serviceSubscriptionId: serviceSubscriptionId
      topicName: one.topicName
    }
  }
]

module subscriptionsInOthersTopics 'event-subscription.bicep' = [
  for one in oldSources: {
    scope: resourceGroup(split(existingTopics[toLower(one.id)], '/')[2], split(existingTopics[toLower(one.id)], '/')[4])
    params: {
      names: names
      serviceSubscriptionId: serviceSubscriptionId
      topicName: last(split(existingTopics[toLower(one.id)], '/'))
    }
  }
]

// Single failures are normal and tried again; what was given up is not.
module alerts 'topic-alerts.bicep' = [
  for one in sources: {
    scope: resourceGroup(names.eventGroup)
    dependsOn: [topics]
    params: {
      names: names
      tags: tags
      serviceSubscriptionId: serviceSubscriptionId
      topicId: existingTopics[?toLower(one.id)] ?? resourceId(
        network.subscriptionId,
        names.eventGroup,
        'Microsoft.EventGrid/systemTopics',
        one.topicName
      )
      text: 'AMLFS guard: events do not reach the service; the sweep finds what they tell of'
      limits: { DeadLetteredCount: 0, DroppedEventCount: 0, DeliveryAttemptFailCount: 20 }
      eventSubscription: names.eventSubscription
    }
  }
]
