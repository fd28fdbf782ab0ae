using '../main.bicep'

// Azure Government; sign in to it first: az cloud set --name AzureUSGovernment
param environmentName = 'lustre-gov'
param location = 'usgovvirginia'
param networks = [
  {
    subscriptionId: '00000000-0000-0000-0000-000000000001'
    resourceGroups: ['rg-lustre']
  }
]
param alertEmails = ['storage-oncall@example.com']
