metadata description = 'One Fernet key: 32 random bytes, made by the first deployment, kept by every later one, and never shown.'

@description('The vault that keeps it.')
param vaultName string

@description('Its name there.')
param name string

@description('Object ID of the identity that may read it.')
param principalId string

// checkov:skip=CKV_AZURE_131:the default is drawn by chance
@description('Three GUIDs. Not to be given: every deployment draws new ones, and only the first draw counts.')
@secure()
param chance string = '${newGuid()}${newGuid()}${newGuid()}'

var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var hexadecimal = '0123456789abcdef'
var base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

// Of the 36 characters of a GUID 30 are chance: the rest are hyphens, its version (14) and its variant (19).
var places = filter(range(0, 108), at => !contains([8, 13, 14, 18, 19, 23], at % 36))
var digits = map(take(places, 64), at => indexOf(hexadecimal, toLower(substring(chance, at, 1))))

// Three hexadecimal digits are two characters of base64; the 64th is the last one, and then comes the padding.
var pairs = map(
  range(0, 21),
  n => '${substring(base64url, digits[3 * n] * 4 + digits[3 * n + 1] / 4, 1)}${substring(base64url, digits[3 * n + 1] % 4 * 16 + digits[3 * n + 2], 1)}'
)
var key = '${join(pairs, '')}${substring(base64url, digits[63] * 4, 1)}='

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

// A key that is replaced makes everything unreadable that was encrypted with it.
@onlyIfNotExists()
resource secret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  // checkov:skip=CKV_AZURE_41:an expired key would make all that is stored unreadable; it is replaced by hand
  parent: vault
  name: name
  properties: {
    value: key
    contentType: 'Fernet keys, the newest first'
  }
}

resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(secret.id, principalId, keyVaultSecretsUser)
  scope: secret
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Without a version: a newer one is found within a day.
output uri string = '${vault.properties.vaultUri}secrets/${name}'
