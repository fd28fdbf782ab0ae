// The events: Azure tells the service what changed. The second deployment, because an event subscription
// can only be made once the function that it names is there. It can be run again at any time.
//
// connect.py runs it, with the system topics that the sources have already.

import { Service } from 'types.bicep'
import { namesOf } from 'names.bicep'

targetScope = 'subscription'

metadata name = 'AMLFS Network Guard: events'
metadata description = 'System topics and event subscriptions that tell the service of changes.'

@description('The output AMLFS_SERVICE of the first deployment, which is in this subscription.')
param service Service

@description('Ids of the system topics that sources have already, by the id of the source in lower case: an Azure source has at most one. Each needs a system-assigned identity.')
param existingTopics { *: string } = {}

var names = namesOf(service.environmentName, subscription().subscriptionId)

module sources 'modules/event-sources.bicep' = [
  for one in service.networks: {
    scope: subscription(one.subscriptionId)
    params: {
      names: names
      location: service.location
      tags: { 'amlfs-network-guard': service.environmentName } // not azd's: it would not know which group to deploy to
      serviceSubscriptionId: subscription().subscriptionId
      network: one
      existingTopics: existingTopics
    }
  }
]

@description('The event subscription\'s name, in every topic.')
output eventSubscriptionName string = names.eventSubscription
