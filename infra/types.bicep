// What the parameters of the service look like.

@export()
@description('A subscription with AMLFS file systems: what is read, watched and, in part, written.')
type NetworkScope = {
  @description('Its id. It is read, and its changes are watched.')
  @minLength(36)
  @maxLength(36)
  subscriptionId: string

  @description('Names of the resource groups in which NSGs and subnets may be written. Events come from these groups alone.')
  resourceGroups: string[]?

  @description('Write in every resource group of the subscription. Without it, resourceGroups must name the groups.')
  wholeSubscription: bool?
}

@export()
type Tags = { *: string }

@description('A subnet: exactly one of the two.')
type Subnet = {
  id: string?
  addressPrefixes: string[]?
}

@description('A flow that a proof tolerates and a plan adds as a rule.')
type Exception = {
  name: string
  direction: 'Inbound' | 'Outbound'
  protocol: string
  sourceAddressPrefix: string?
  sourceAddressPrefixes: string[]?
  sourcePortRange: string?
  sourcePortRanges: string[]?
  destinationAddressPrefix: string?
  destinationAddressPrefixes: string[]?
  destinationPortRange: string?
  destinationPortRanges: string[]?
}

@description('What a file system\'s network must be; docs/api.md says what each field means.')
type Intent = {
  location: string?
  fileSystemSubnet: Subnet?
  fileSystemId: string?
  clientSubnets: Subnet[]
  networkSecurityGroupId: string
  storageLocations: string[]?
  privateEndpointPrefixes: string[]?
  dnsServers: string[]?
  ntpServers: string[]?
  telemetryPrefixes: string[]?
  exceptions: Exception[]?
  namePrefix: string?
  allowUnknownLocation: bool?
  catalogue: string?
}

@export()
@description('A guard that is declared with the deployment; docs/guards.md says what each field does.')
type GuardDeclaration = {
  @minLength(1)
  name: string

  intent: Intent

  mode: ('enforce' | 'audit')?
  foreignRules: ('keep' | 'remove')?
  reassociate: bool?
  allowShared: bool?
}

@export()
@description('Entra ID sign-in in front of the HTTP functions, besides the function keys or instead of them.')
type SignIn = {
  @description('Application (client) id of the app registration that stands for the service.')
  clientId: string

  @description('Client ids of the applications (pipelines, Logic Apps) that may call; others get 403.')
  @minLength(1)
  allowedApplications: string[]

  @description('Callers bring a token and no function key. Without it they bring both.')
  insteadOfKeys: bool?
}

@export()
@description('The service in your network; all but Event Grid and the callers named here stay out.')
type PrivateNetworking = {
  @description('Id of an empty subnet that is delegated to Microsoft.App/environments: where the app\'s calls come from.')
  functionsSubnetId: string

  @description('Id of the subnet for the private endpoints of the storage account.')
  endpointsSubnetId: string

  @description('Ids of the private DNS zones for blobs, queues and tables.')
  dnsZoneIds: {
    blob: string
    queue: string
    table: string
  }

  @description('CIDRs that may call the HTTP functions.')
  allowedCallers: string[]
}

@export()
@description('Settings that seldom need another value; docs/api.md says what each means.')
type Tuning = {
  sweepSchedule: string?

  @minValue(1)
  @maxValue(230)
  requestSeconds: int?

  @minValue(1)
  settleSeconds: int?

  @minValue(1)
  circuitSame: int?

  @minValue(1)
  circuitAny: int?

  @minValue(1)
  circuitWindowSeconds: int?

  @description('Whether a guard that `guards` declares can be suspended over HTTP.')
  declaredMayBeSuspended: bool?

  @description('Days for which outcomes are kept.')
  @minValue(1)
  historyDays: int?

  @description('Days for which operations that ended are kept.')
  @minValue(1)
  operationDays: int?

  @description('Requests that one instance handles at the same time; docs/deploy.md says how 16 was measured.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int?

  @description('Keep one instance of on_network_change ready: events are handled without a cold start, for about 21 $ a month (infra/costs.py).')
  alwaysReady: bool?

  @description('ARM scopes that are read on a caller\'s word, beside what may be written. Without it: what the reader role permits.')
  readScopes: string[]?

  @description('Where metrics go by OTLP, besides Application Insights.')
  otlpEndpoint: string?
}

@export()
@description('What the second deployment needs to know of the first.')
type Service = {
  environmentName: string
  location: string

  @description('The resource group of system topics that are made, and what stands before their names.')
  eventGroup: string
  systemTopic: string

  networks: NetworkScope[]
}
