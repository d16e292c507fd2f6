import { execute } from '../harness/database.ts';

/**
 * Creates a role with settings of its own (`ALTER ROLE … SET`), so that the settings apply to the store and not
 * to the connections of the test.
 */
export async function createRoleWith(
  databaseUrl: string,
  settings: Readonly<Record<string, string>>,
): Promise<{ url: string; drop(): Promise<void> }> {
  const url = new URL(databaseUrl);
  const role = `role_of_${url.pathname.slice(1)}`;
  await execute(databaseUrl, `create role ${role} superuser login password 'secret'`);
  for (const [name, value] of Object.entries(settings)) {
    await execute(databaseUrl, `alter role ${role} set ${name} = '${value}'`);
  }
  url.username = role;
  url.password = 'secret';
  return { url: url.href, drop: () => execute(databaseUrl, `drop role ${role}`) };
}
