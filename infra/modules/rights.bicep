// The service's roles in one subscription: it reads all of it, and writes where it is told to.

import { NetworkScope } from '../types.bicep'

targetScope = 'subscription'

param network NetworkScope
param readerName string
param writerName string
param principalId string
param identityName string

module reading 'right.bicep' = {
  params: { roleName: readerName, principalId: principalId, identityName: identityName }
}

module writing 'right.bicep' = if (empty(network.?resourceGroups)) {
  params: { roleName: writerName, principalId: principalId, identityName: identityName }
}

module writingInGroups 'right-in-group.bicep' = [
  for group in (network.?resourceGroups ?? []): {
    scope: resourceGroup(network.subscriptionId, group)
    params: { roleName: writerName, principalId: principalId, identityName: identityName }
  }
]
