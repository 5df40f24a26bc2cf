import { readFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { brokerJsonSchema } from '../../../broker/config/json-schema.ts';
import { knownPlatform, platforms } from '../../../broker/config/platforms.ts';
import { operators } from '../../../broker/policy/parse-where.ts';
import { formatDuration, parseDuration } from '../../../shared/duration.ts';
import { settingsOf } from '../../house/broker-reference.ts';
import { baseDocument, loadDocument, loadText } from '../policy/fixture.ts';

const page = await readFile(new URL('../../../docs/grants.md', import.meta.url), 'utf8');

describe('docs/broker-config.schema.json', () => {
  it('explains every setting, and names no default that is not one', () => {
    const settings = settingsOf();
    expect(settings.length).toBeGreaterThan(60);
    expect(settings.filter(({ schema }) => (schema.description ?? '') === '').map(({ path }) => path)).toEqual([]);
    const grants = { name: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: { a: 'x' } } };
    const issuers = {
      name: { url: 'https://i.example.com', audience: 'kleis' },
      sso: (baseDocument()['issuers'] as Record<string, unknown>)['sso'],
    };
    const clusters = { name: { credentials: { inCluster: true } }, prod: { credentials: { inCluster: true } } };
    const web = { issuer: 'sso', clientId: 'page', cookieKeyFile: '/keys' };
    const { config } = loadDocument({ grants, issuers, clusters, web });
    const milliseconds = ['leeway', 'ttl', 'maxStale', 'session'];
    for (const { path, schema } of settings.filter((each) => 'default' in each.schema)) {
      const value = path
        .split('.')
        .reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key === 'NAME' ? 'name' : key], config);
      const isTime = path.split('.').some((key) => milliseconds.includes(key));
      expect([path, isTime ? formatDuration(value as number) : value]).toEqual([
        path,
        isTime ? formatDuration(parseDuration(String(schema['default']))!) : schema['default'],
      ]);
    }
  });

  it('describes the operators of `where`', () => {
    const { $defs } = brokerJsonSchema() as unknown as { $defs: { matcher: { anyOf: { properties?: object }[] } } };
    expect(Object.keys($defs.matcher.anyOf[1]!.properties!).toSorted()).toEqual([...operators].toSorted());
  });
});

describe('docs/grants.md', () => {
  const { issuers, clusters, ...rest } = baseDocument({ grants: undefined });
  const more = {
    circleci: { url: 'https://oidc.circleci.com/org/0', audience: '0' },
    buildkite: { url: 'https://agent.buildkite.com', audience: 'https://kleis.example.com' },
    'ci-cluster': { cluster: 'ci', audience: 'https://kleis.example.com' },
  };
  const base = stringify(
    {
      ...rest,
      issuers: { ...(issuers as object), ...more },
      clusters: { ...(clusters as object), ci: { credentials: { inCluster: true } } },
    },
    { aliasDuplicateObjects: false },
  );
  const blocks = [...page.matchAll(/```yaml\n(grants:\n[^]*?)```/g)].map((match) => match[1]!);

  it('has examples', () => {
    expect(blocks.length).toBeGreaterThan(4);
  });

  it.each(blocks)('an example warns of what it says it does, and of nothing else:\n%s', (block) => {
    const { warnings, config } = loadText(base + block);
    const said = [...block.matchAll(/# warns: (.*)/g)].flatMap((match) => match[1]!.split(' ')).toSorted();
    expect(warnings.map((warning) => warning.code).toSorted()).toEqual(said);
    expect(Object.keys(config.grants)).toEqual(Object.keys((parse(block) as { grants: object }).grants));
  });

  it('lists every platform with its ids', () => {
    for (const platform of platforms) {
      const ids = (knownPlatform(platform)?.idClaims ?? ['sub']).map((claim) => `\`${claim}\``);
      const row = page.split('\n').find((line) => line.startsWith(`| \`${platform}\` |`));
      for (const id of ids) expect(row).toContain(id);
    }
  });

  it('explains every warning that there is', async () => {
    const folder = new URL('../../../broker/config/', import.meta.url);
    const sources = await Promise.all(
      ['warnings.ts', 'platform-warnings.ts', 'load.ts'].map((name) => readFile(new URL(name, folder), 'utf8')),
    );
    const codes = sources.flatMap((text) =>
      Array.from(text.matchAll(/(?:warn\(\s*|code: )'([a-z-]+)'/g), ([, code]) => code!),
    );
    expect(codes.length).toBeGreaterThan(15);
    for (const code of codes) expect(page).toContain(`\`${code}\``);
    for (const [, code] of page.slice(page.indexOf('## Warnings')).matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)) {
      if (code !== 'kube-system') expect(codes).toContain(code);
    }
  });
});
