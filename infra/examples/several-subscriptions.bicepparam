using '../main.bicep'

// A platform team's: two landing zones, one of which is written to as a whole; in the team's network,
// with sign-in, and nobody but two pipelines.
param environmentName = 'platform'
param location = 'westeurope'
param networks = [
  {
    subscriptionId: '00000000-0000-0000-0000-000000000001'
    resourceGroups: ['rg-lustre', 'rg-network']
  }
  {
    subscriptionId: '00000000-0000-0000-0000-000000000002'
    wholeSubscription: true
  }
]
param alertEmails = ['network-oncall@example.com', 'storage-oncall@example.com']
param runbooks = 'https://git.example.com/platform/amlfs-network-guard/blob/main/docs/operations.md'
param logRetentionDays = 90
param signInWith = {
  clientId: '00000000-0000-0000-0000-0000000000c1'
  allowedApplications: ['00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-0000000000a2']
  insteadOfKeys: true
}
param network = {
  functionsSubnetId: '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/functions'
  endpointsSubnetId: '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/endpoints'
  dnsZoneIds: {
    blob: '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net'
    queue: '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.queue.core.windows.net'
    table: '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.table.core.windows.net'
  }
  allowedCallers: ['198.51.100.0/24', '203.0.113.7/32']
}
param tune = {
  sweepSchedule: '0 */10 * * * *'
  circuitSame: 3
  alwaysReady: true
  readScopes: [
    '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hpc'
  ]
}
param tags = {
  owner: 'network-platform'
}
