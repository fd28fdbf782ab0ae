// A system topic may put what it could not deliver into one container, and nowhere else.

import { Names } from '../names.bicep'

param names Names
param topicId string
param principalId string

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: names.storageAccount

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource deadLetters 'containers' existing = { name: 'dead-letters' }
  }
}

// Storage Blob Data Contributor
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
}

resource right 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::blobs::deadLetters
  name: guid(storage::blobs::deadLetters.id, topicId, role.id)
  properties: {
    roleDefinitionId: role.id
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
