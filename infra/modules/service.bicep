// Everything that lies in the service's own resource group.

import { GuardDeclaration, NetworkScope, PrivateNetworking, SignIn, Tags, Tuning } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags
param networks NetworkScope[]
param guards GuardDeclaration[]
param alertEmails string[]
param runbooks string
param logRetentionDays int
param storageRedundancy string
param tune Tuning
param signInWith SignIn?
param network PrivateNetworking?

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: names.identity
  location: location
  tags: tags
}

module monitoring 'monitoring.bicep' = {
  params: {
    names: names
    location: location
    tags: tags
    alertEmails: alertEmails
    logRetentionDays: logRetentionDays
    principalId: identity.properties.principalId
  }
}

module storage 'storage.bicep' = {
  dependsOn: [monitoring]
  params: {
    names: names
    location: location
    tags: tags
    redundancy: storageRedundancy
    isPrivate: network != null
    principalId: identity.properties.principalId
  }
}

module endpoints 'private-endpoints.bicep' = if (network != null) {
  dependsOn: [storage]
  params: {
    names: names
    location: location
    tags: tags
    network: network!
  }
}

module outcomes 'outcomes.bicep' = {
  dependsOn: [monitoring]
  params: {
    names: names
    location: location
    tags: tags
    principalId: identity.properties.principalId
  }
}

module functions 'functions.bicep' = {
  dependsOn: [endpoints, outcomes, storage]
  params: {
    names: names
    location: location
    tags: tags
    networks: networks
    guards: guards
    tune: tune
    signInWith: signInWith
    network: network
  }
}

module alerts 'alerts.bicep' = {
  dependsOn: [outcomes]
  params: {
    names: names
    location: location
    tags: tags
    runbooks: runbooks
  }
}

module workbook 'workbook.bicep' = {
  dependsOn: [monitoring]
  params: {
    names: names
    location: location
    tags: tags
  }
}

output principalId string = identity.properties.principalId
output hostName string = functions.outputs.hostName
