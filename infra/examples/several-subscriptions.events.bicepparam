using '../events.bicep'

// The second step after several-subscriptions.bicepparam: its output AMLFS_SERVICE, as connect.py hands it over.
param service = {
  environmentName: 'platform'
  location: 'westeurope'
  eventGroup: 'rg-platform-events-nuzd4t'
  systemTopic: 'evgst-platform-nuzd4t'
  networks: [
    {
      subscriptionId: '00000000-0000-0000-0000-000000000001'
      resourceGroups: ['rg-lustre', 'rg-network']
    }
    {
      subscriptionId: '00000000-0000-0000-0000-000000000002'
      wholeSubscription: true
    }
  ]
}

// The second subscription has had a system topic before.
param existingTopics = {
  '/subscriptions/00000000-0000-0000-0000-000000000002': '/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/evgst-subscription'
}
