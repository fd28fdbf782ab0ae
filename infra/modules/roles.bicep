// What the service may do in the networks it guards: two roles, and not one action more.
//
// The test suite runs the whole service against an Azure that enforces them, and shows for each action
// what fails without it (tests/infra/test_least_privilege.py).

targetScope = 'subscription'

@description('Name of the service\'s identity: it tells the roles from those of other deployments in the tenant.')
param identityName string

@description('Names of the two roles: GUIDs.')
param readerName string
param writerName string

@description('Whether this is the public cloud, which knows every action.')
param isPublicCloud bool

@description('Ids of the subscriptions in which the roles can be assigned.')
param subscriptionIds string[]

// ARM refuses a whole role for one action that its cloud does not know (InvalidActionOrNotAction). These are
// newer than the rest, and nobody has tried them outside the public cloud; docs/deploy.md says how to try.
var newReads = isPublicCloud ? ['Microsoft.StorageCache/amlFilesystems/read'] : []
var newWrites = isPublicCloud ? ['Microsoft.Network/networkManagers/ipamPools/associateResourcesToPool/action'] : []

// Lists are of whole subscriptions, and so are the operations that a write is followed by.
resource reader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: readerName
  properties: {
    type: 'CustomRole'
    roleName: 'AMLFS Network Guard reader (${identityName})'
    description: 'Read NSGs, virtual networks and AMLFS file systems, and follow operations on them.'
    assignableScopes: map(subscriptionIds, id => '/subscriptions/${id}')
    permissions: [
      {
        actions: [
          'Microsoft.Network/networkSecurityGroups/read'
          'Microsoft.Network/virtualNetworks/read'
          'Microsoft.Network/locations/operations/read'
          ...newReads
        ]
        notActions: []
      }
    ]
  }
}

// A subnet is written whole, so that whatever it names must be joined again.
resource writer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: writerName
  properties: {
    type: 'CustomRole'
    roleName: 'AMLFS Network Guard writer (${identityName})'
    description: 'Write NSGs, and associate subnets with them.'
    assignableScopes: map(subscriptionIds, id => '/subscriptions/${id}')
    permissions: [
      {
        actions: [
          'Microsoft.Network/networkSecurityGroups/write'
          'Microsoft.Network/networkSecurityGroups/join/action'
          'Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action'
          'Microsoft.Network/virtualNetworks/subnets/write'
          'Microsoft.Network/routeTables/join/action'
          'Microsoft.Network/natGateways/join/action'
          'Microsoft.Network/serviceEndpointPolicies/join/action'
          ...newWrites
        ]
        notActions: []
      }
    ]
  }
}
