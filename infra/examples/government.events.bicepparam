using '../events.bicep'

// The second step after government.bicepparam: its output AMLFS_SERVICE, as connect.py hands it over.
param service = {
  environmentName: 'lustre-gov'
  location: 'usgovvirginia'
  eventGroup: 'rg-lustre-gov-events-snnxp6'
  systemTopic: 'evgst-lustre-gov-snnxp6'
  networks: [
    {
      subscriptionId: '00000000-0000-0000-0000-000000000001'
      resourceGroups: ['rg-lustre']
    }
  ]
}
