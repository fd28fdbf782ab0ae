using 'outcomes-to-logic-app.bicep'

// The topic is the output AMLFS_OUTCOME_TOPIC of the deployment. The webhook holds a secret: give it on the command
// line, or from a key vault (getSecret).
param topicName = 'evgt-lustre-5mv4d4'
param webhook = readEnvironmentVariable('AMLFS_NOTIFY_WEBHOOK', 'https://example.com/hook')
