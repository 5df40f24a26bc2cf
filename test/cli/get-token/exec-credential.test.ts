import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatCredential, parseExecInfo } from '../../../cli/get-token/exec-credential.ts';
import { KleisError } from '../../../shared/errors.ts';

const info = (spec: unknown, apiVersion = 'client.authentication.k8s.io/v1') => ({
  KUBERNETES_EXEC_INFO: `${JSON.stringify({ apiVersion, kind: 'ExecCredential', spec })}\n`,
});

describe('KUBERNETES_EXEC_INFO', () => {
  test('says version, terminal and cluster', () => {
    const cluster = { server: 'https://a:6443', config: { audience: 'x' } };
    expect(parseExecInfo(info({ cluster, interactive: true }, 'client.authentication.k8s.io/v1beta1'))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      interactive: true,
      cluster,
    });
  });

  test('is absent where no Kubernetes client asks', () => {
    expect(parseExecInfo({})).toBeUndefined();
    expect(parseExecInfo({ KUBERNETES_EXEC_INFO: '' })).toBeUndefined();
  });

  test('of a version that kubectl no longer takes is refused, for kubectl would refuse the answer', () => {
    expect(() => parseExecInfo(info({}, 'client.authentication.k8s.io/v1alpha1'))).toThrow(/v1alpha1/);
  });

  test('never makes anything but a result or an error of ours, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.anything().map((value) => info(value).KUBERNETES_EXEC_INFO),
        ),
        (text) => {
          try {
            parseExecInfo({ KUBERNETES_EXEC_INFO: text });
          } catch (error) {
            expect(error).toBeInstanceOf(KleisError);
          }
        },
      ),
    );
  });
});

describe('the answer', () => {
  test('is one line of exactly what kubectl wants', () => {
    expect(formatCredential('client.authentication.k8s.io/v1', 'a.b.c', Date.UTC(2026, 0, 2, 3, 4, 5, 999))).toBe(
      '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",' +
        '"status":{"token":"a.b.c","expirationTimestamp":"2026-01-02T03:04:05Z"}}\n',
    );
  });

  test('has no expiry rather than an empty one', () => {
    expect(JSON.parse(formatCredential(undefined, 'x', undefined))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'x' },
    });
  });

  test.each(['a\nb', 'a b', '', 'é', '\u007f'])('is never a token that breaks the header: %j', (token) => {
    expect(() => formatCredential(undefined, token, undefined)).toThrow(/HTTP header/);
  });
});
