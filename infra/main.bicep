// AMLFS Network Guard: the service and its rights. The events come second, once the code is there:
// events.bicep. docs/deploy.md has the commands.

import { GuardDeclaration, NetworkScope, PrivateNetworking, Service, SignIn, Tags, Tuning } from 'types.bicep'
import { inPublicCloud, namesOf, scoped, usable } from 'names.bicep'

targetScope = 'subscription'

metadata name = 'AMLFS Network Guard'
metadata description = 'Keeps the network security groups of Azure Managed Lustre file systems right.'

@description('Names this deployment; every resource is called after it.')
@minLength(2)
@maxLength(13)
param environmentName string

@description('Where the service runs; the networks may be anywhere.')
param location string = deployment().location

@description('The subscriptions, and resource groups, whose networks are guarded.')
@minLength(1)
@maxLength(50)
param networks NetworkScope[]

@description('Guards that come with the deployment; over HTTP they can be read, not changed.')
param guards GuardDeclaration[] = []

@description('Who gets the alerts by e-mail.')
param alertEmails string[] = []

@description('The address at which your copy of docs/operations.md can be read: every alert links to its section there.')
@minLength(1)
param runbooks string = 'docs/operations.md'

@description('How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('How the storage account is copied; some regions have no zones, and take Standard_LRS.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('Settings that seldom need another value.')
param tune Tuning = {}

@description('Entra ID sign-in in front of the HTTP functions. Without it the function keys alone count.')
param signInWith SignIn?

@description('The service in your network. Without it: public endpoints, guarded by identity and keys.')
param network PrivateNetworking?

@description('On every resource.')
param tags Tags = {}

var names = namesOf(environmentName, subscription().subscriptionId)
var guarded = scoped(networks)
var allTags = { 'azd-env-name': environmentName, ...tags }
var roleNames = {
  reader: guid(subscription().id, environmentName, 'reader')
  writer: guid(subscription().id, environmentName, 'writer')
}

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: names.resourceGroup
  location: location
  tags: allTags
}

module parts 'modules/service.bicep' = {
  scope: group
  params: {
    names: names
    location: location
    tags: allTags
    networks: guarded
    guards: guards
    alertEmails: alertEmails
    runbooks: runbooks
    logRetentionDays: logRetentionDays
    storageRedundancy: storageRedundancy
    tune: tune
    signInWith: signInWith
    network: usable(network)
  }
}

module roles 'modules/roles.bicep' = {
  params: {
    identityName: names.identity
    readerName: roleNames.reader
    writerName: roleNames.writer
    isPublicCloud: inPublicCloud(location)
    subscriptionIds: union([subscription().subscriptionId], map(guarded, one => one.subscriptionId))
  }
}

module rights 'modules/rights.bicep' = [
  for one in guarded: {
    scope: subscription(one.subscriptionId)
    dependsOn: [roles]
    params: {
      network: one
      readerName: roleNames.reader
      writerName: roleNames.writer
      identityName: names.identity
      principalId: parts.outputs.principalId
    }
  }
]

@description('Where the service answers.')
output AMLFS_ENDPOINT string = 'https://${parts.outputs.hostName}'

@description('The resource group of the service.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The Function app that the package goes to.')
output AMLFS_FUNCTION_APP string = names.functionApp

@description('The topic that tells what guards did.')
output AMLFS_OUTCOME_TOPIC string = names.outcomeTopic

@description('What events.bicep needs.')
output AMLFS_SERVICE Service = {
  environmentName: environmentName
  location: location
  eventGroup: names.eventGroup
  systemTopic: names.systemTopic
  networks: guarded
}
