import { existsSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { releaseIssuer, releaseSubject } from '../../cli/packaging/release/identity.ts';

interface Policy {
  readonly spec: {
    readonly images: readonly { readonly glob: string }[];
    readonly authorities: readonly { readonly keyless: { readonly identities: readonly Identity[] } }[];
  };
}
interface Identity {
  readonly issuer: string;
  readonly subjectRegExp: string;
}

const policy = parse(readFileSync('broker/deploy/policies/cluster-image-policy.yaml', 'utf8')) as Policy;
const workflow = 'https://github.com/kleis-dev/kleis/.github/workflows/release.yml';

describe("the policy for Sigstore's policy-controller", () => {
  it('has no field that the controller does not know', () => {
    const schema = JSON.parse(readFileSync('test/docs/schemas/cluster-image-policy.json', 'utf8')) as object;
    const ajv = new Ajv({ allErrors: true });
    expect(ajv.validate(schema, policy), ajv.errorsText()).toBe(true);
  });

  it('trusts the workflow that makes releases, and nobody else', () => {
    const identities = policy.spec.authorities.flatMap(({ keyless }) => keyless.identities);
    expect(identities).toEqual([{ issuer: releaseIssuer, subjectRegExp: releaseSubject }]);
    expect(existsSync('.github/workflows/release.yml')).toBe(true);
  });

  it.each(['kleis-broker', 'kleis-ci'])('is for the image that the workflow pushes: %s', (name) => {
    expect(policy.spec.images).toEqual([{ glob: 'ghcr.io/kleis-dev/**' }]);
    expect(readFileSync('.github/workflows/release.yml', 'utf8')).toContain(`IMAGE: ghcr.io/kleis-dev/${name}\n`);
  });
});

describe('who makes releases', () => {
  it.each([`${workflow}@refs/tags/v0.1.0`, `${workflow}@refs/tags/v10.20.30`])('%s does', (subject) => {
    expect(subject).toMatch(new RegExp(releaseSubject));
  });

  it.each([
    `${workflow}@refs/heads/main`,
    `${workflow}@refs/heads/refs/tags/v0.1.0`,
    `${workflow}@refs/tags/v0.1.0-rc.1`,
    `${workflow}@refs/tags/v0.1.0\n`,
    `${workflow}@refs/pull/1/merge`,
    workflow.replace('release', 'ci').concat('@refs/tags/v0.1.0'),
    workflow.replace('kleis-dev/kleis', 'kleis-dev/other').concat('@refs/tags/v0.1.0'),
    workflow.replace('github.com', 'githubxcom').concat('@refs/tags/v0.1.0'),
    `https://evil.example/?${workflow}@refs/tags/v0.1.0`,
  ])('%j does not', (subject) => {
    expect(subject).not.toMatch(new RegExp(releaseSubject));
  });
});

it("the policy for OKE is the field of its API, for `--from-json`, with the key's place to fill in", () => {
  // ImagePolicyConfig and KeyDetails of OCI's Container Engine API, 20180222.
  expect(JSON.parse(readFileSync('broker/deploy/policies/oke-image-policy.json', 'utf8'))).toEqual({
    imagePolicyConfig: { isPolicyEnabled: true, keyDetails: [{ kmsKeyId: 'KEY-OCID' }] },
  });
});
