using '../main.bicep'

// One subscription; NSGs and subnets are written in two of its resource groups.
param environmentName = 'lustre'
param location = 'eastus'
param networks = [
  {
    subscriptionId: '00000000-0000-0000-0000-000000000001'
    resourceGroups: ['rg-lustre', 'rg-network']
  }
]
param alertEmails = ['storage-oncall@example.com']
param guards = [
  {
    name: 'lustre-a'
    mode: 'enforce'
    intent: {
      location: 'eastus'
      fileSystemSubnet: {
        id: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hpc/subnets/lustre'
      }
      clientSubnets: [
        {
          id: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hpc/subnets/clients'
        }
      ]
      networkSecurityGroupId: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-lustre/providers/Microsoft.Network/networkSecurityGroups/nsg-lustre'
    }
  }
]
