export { controlAccess } from './access.ts';
export { ApiKeyService } from './api-keys.ts';
export { Authenticator } from './authenticator.ts';
export { OrgService } from './orgs.ts';
export { PeopleService } from './people.ts';
export { type RoleTable, readRoles } from './roles.ts';
export { identityRoutes } from './routes.ts';
export { newSecret } from './secret.ts';
export { type OrgSettings, settingsOf } from './settings.ts';
