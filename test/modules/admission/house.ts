import type { TestOrg } from '../../support/server.ts';

/** Publishes a policy, written in YAML but for its name. */
export async function publishPolicy(org: TestOrg, name: string, body: string): Promise<void> {
  const draft = await org.admin.put(`/policies/${name}/draft`, `name: ${name}\n${body}`, {
    'content-type': 'application/yaml',
  });
  if (draft.status !== 200) throw new Error(JSON.stringify(draft.body));
  const published = await org.admin.post(`/policies/${name}/publish`, {});
  if (published.status !== 200 && published.status !== 201) throw new Error(JSON.stringify(published.body));
}

/** Payments need a human, secrets are denied, docs are watched. */
export const HOUSE = `
defaults: { path.edit: allow, path.delete: allow, deploy: allow }
rules:
  - id: payments-need-a-human
    effect: require_approval
    actions: [path.edit, path.delete]
    where: { repo: acme/shop, path: { $glob: "services/payments/**" } }
    reason: Payments code moves money.
  - id: no-secrets
    effect: deny
    actions: [path.edit]
    where: { path: { $glob: "secrets/**" } }
    reason: Secrets live elsewhere.
  - id: watch-docs
    effect: deny
    mode: shadow
    actions: [path.edit]
    where: { path: { $glob: "docs/**" } }
    reason: We consider freezing the docs.
`;
