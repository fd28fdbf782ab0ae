using '../events.bicep'

// The second step after single-subscription.bicepparam: its output AMLFS_SERVICE, as connect.py hands it over.
param service = {
  environmentName: 'lustre'
  location: 'eastus'
  eventGroup: 'rg-lustre-events-5mv4d4'
  systemTopic: 'evgst-lustre-5mv4d4'
  networks: [
    {
      subscriptionId: '00000000-0000-0000-0000-000000000001'
      resourceGroups: ['rg-lustre', 'rg-network']
    }
  ]
}
