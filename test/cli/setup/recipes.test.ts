import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../../broker/config/load.ts';
import type { ApiServerWants } from '../../../cli/setup/authentication-config.ts';
import { distribution } from '../../../cli/setup/distributions.ts';
import { distributionNames, providerNames } from '../../../cli/setup/flags.ts';
import { guessProvider, providerKind, registrationSteps, scopesOf } from '../../../cli/setup/registration.ts';
import { createAuthority } from '../../support/certificates.ts';

const wants: ApiServerWants = {
  issuer: 'https://login.example.com',
  audience: 'kleis',
  certificateAuthority: undefined,
  username: { path: ['sub'], prefix: 'aks:jwt:' },
  groups: { path: ['groups'], prefix: 'aks:jwt:' },
  groupsAreText: false,
  algorithms: ['RS256'],
};
const recipeOf = (
  name: (typeof distributionNames)[number],
  version: 'v1' | 'v1beta1' = 'v1',
  change: Partial<ApiServerWants> = {},
) =>
  distribution(name).recipe({
    wants: { ...wants, ...change },
    version,
    signIn: { clientId: 'kleis', scopes: ['openid', 'email'] },
  });

describe('each kind of cluster', () => {
  it.each(distributionNames)(
    '%s: its files can be read, and a step names each that is not the configuration itself',
    (name) => {
      const { files, steps } = recipeOf(name);
      const said = steps.flatMap(({ text, lines = [] }) => [text, ...lines]).join('\n');
      expect(Object.keys(files).length).toBeGreaterThan(0);
      for (const [file, text] of Object.entries(files)) {
        if (file !== 'authentication.yaml') expect(said, file).toContain(file);
        expect(file.endsWith('.json') ? JSON.parse(text) : parse(text), file).toBeTypeOf('object');
      }
    },
  );

  it('the configuration is the same wherever it travels within another file', () => {
    const configuration: unknown = parse(recipeOf('other').files['authentication.yaml'] ?? '');
    const { openIdConnectTokenAuthenticationConfig: oke } = (
      JSON.parse(recipeOf('oke').files['oke.json'] ?? '') as { options: Record<string, Record<string, string>> }
    ).options;
    expect(parse(Buffer.from(oke?.['configurationFile'] ?? '', 'base64').toString())).toEqual(configuration);
    const talos = parse(recipeOf('talos').files['talos-before-1.14.yaml'] ?? '') as {
      machine: { files: { content: string }[] };
    };
    expect(parse(talos.machine.files[0]?.content ?? '')).toEqual(configuration);
    const now = parse(recipeOf('talos').files['talos.yaml'] ?? '') as { configuration: object };
    expect(now.configuration).toMatchObject(configuration as object);
  });

  it('kubeadm and kind have the form that their version knows', () => {
    const form = (version: 'v1' | 'v1beta1') =>
      (parse(recipeOf('kubeadm', version).files['kubeadm.yaml'] ?? '') as { apiVersion: string }).apiVersion;
    expect([form('v1'), form('v1beta1')]).toEqual(['kubeadm.k8s.io/v1beta4', 'kubeadm.k8s.io/v1beta3']);
    const { kubeadmConfigPatches } = parse(recipeOf('kind').files['kind.yaml'] ?? '') as {
      kubeadmConfigPatches: string[];
    };
    expect(kubeadmConfigPatches.map((patch) => (parse(patch) as { apiVersion: string }).apiVersion)).toEqual([
      'kubeadm.k8s.io/v1beta4',
      'kubeadm.k8s.io/v1beta3',
    ]);
  });

  it('clouds that take no authority of yours say so', () => {
    for (const name of ['eks', 'aks'] as const) {
      expect(recipeOf(name, 'v1', { certificateAuthority: 'PEM' }).findings).toMatchObject([
        { code: 'authority_private' },
      ]);
      expect(recipeOf(name).findings).toEqual([]);
    }
  });

  it('what GKE gets is a part that the broker takes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kleis-gke-'));
    try {
      const authority = await createAuthority();
      await writeFile(join(folder, 'oidc-ca.crt'), authority.cert);
      await writeFile(
        join(folder, 'part.yaml'),
        recipeOf('gke', 'v1', { certificateAuthority: 'PEM' }).files['broker.yaml'] ?? '',
      );
      const rest = {
        apiVersion: 'kleis.dev/v1',
        kind: 'BrokerConfig',
        publicUrl: 'https://kleis.example.com',
        listen: { address: '127.0.0.1:8080' },
        state: { memory: true },
        clusters: { prod: { credentials: { inCluster: true }, audiences: ['x'] } },
        grants: {
          view: {
            issuer: 'sso',
            where: { sub: 'alice' },
            cluster: 'prod',
            serviceAccount: 'view',
            access: [{ namespace: 'web', role: 'view' }],
          },
        },
      };
      await writeFile(join(folder, 'rest.yaml'), stringify(rest));
      const { config } = await loadConfig(folder);
      expect(JSON.stringify([config.issuers])).toContain('https://login.example.com');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('each kind of provider', () => {
  it.each([
    ['https://sso.example.com/realms/acme', 'keycloak'],
    ['https://sso.example.com/auth/realms/acme/', 'keycloak'],
    ['https://acme.okta.com/oauth2/default', 'okta'],
    ['https://acme.eu.auth0.com/', 'auth0'],
    ['https://login.microsoftonline.com/8f/v2.0', 'entra'],
    ['https://accounts.google.com', 'google'],
    ['https://gitlab.com', 'gitlab'],
    ['https://dex.example.com', 'dex'],
    ['https://example.com/dex', 'dex'],
    ['https://acme.us1.zitadel.cloud', 'zitadel'],
    ['https://idcs-1.identity.oraclecloud.com', 'oci'],
    ['https://login.example.com', 'other'],
    // Whoever owns a name that looks like one is none.
    ['https://okta.com.example.com', 'other'],
    ['https://notgitlab.com', 'other'],
  ])('%s is %s', (issuer, name) => {
    expect(guessProvider(issuer)).toBe(name);
  });

  it.each(providerNames)('%s: the steps name the addresses, and nothing is left to be filled in', (name) => {
    const client = { clientId: 'my-client', redirectUris: ['http://localhost:8000', 'http://localhost:18000'] };
    const steps = registrationSteps(name, client);
    const text = [...steps, ...providerKind(name).notes].join('\n');
    expect(text).not.toMatch(/\b(REDIRECTS|CLIENT)\b/);
    // Google takes any of loopback; of others nothing is known but what every client has.
    if (name !== 'google' && name !== 'other')
      expect(text).toContain('`http://localhost:8000`, `http://localhost:18000`');
  });

  it('asks for no scope that discovery does not list', () => {
    expect(scopesOf('other', undefined)).toEqual(['email', 'groups', 'offline_access']);
    expect(scopesOf('other', ['openid', 'email'])).toEqual(['email']);
    expect(scopesOf('google', ['openid', 'email', 'profile'])).toEqual(['email']);
  });
});
