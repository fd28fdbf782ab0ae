// The topic on which the service tells what it did; Logic Apps and alerts subscribe to it.

import { Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags

@description('Principal id of the service, which may send.')
param principalId string

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: names.outcomeTopic
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

// EventGrid Data Sender
resource senderRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: 'd5a91429-5739-47e2-a06b-3470a27159e7'
}

resource senderRight 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: topic
  name: guid(topic.id, names.identity, senderRole.id)
  properties: {
    roleDefinitionId: senderRole.id
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = { name: names.workspace }

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: topic
  name: 'to-workspace'
  properties: {
    workspaceId: workspace.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}
