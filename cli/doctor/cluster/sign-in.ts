import { clean } from '../../../shared/text.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';
import type { ServerFlags } from './server-flags.ts';
import type { Metrics } from './metrics.ts';

/** Whether the API server takes the tokens of a provider itself. `issuer`: whose token it has just taken. */
export function checkOidc(flags: ServerFlags, metrics: Metrics, issuer: string | undefined): DoctorFinding {
  if (issuer !== undefined) return ok('oidc', `OIDC is on: the API server takes tokens of ${clean(issuer)}.`);
  if (flags.kind === 'known') {
    const [url, file] = [flags.get('oidc-issuer-url'), flags.get('authentication-config')];
    if (url !== '') return ok('oidc', `OIDC is on, for ${clean(url)} (${flags.from}).`);
    if (file !== '') return ok('oidc', `The API server has an AuthenticationConfiguration (${flags.from}).`);
    return warning('oidc', 'oidc_off', `OIDC is off: nobody signs in here with single sign-on (${flags.from}).`, {
      why: 'People and jobs then have certificates and tokens that live long, or come through a broker.',
      next: 'kleis setup writes what the API server needs. Where it takes no flags: kleis kubeconfig add --from URL, of a broker.',
    });
  }
  if (metrics.kind === 'read' && metrics.has(/^apiserver_authentication_(jwt_authenticator|config_controller)_/)) {
    return ok('oidc', 'OIDC is on: the API server counts tokens of a provider.');
  }
  return unknown(
    'oidc',
    'Whether the API server takes tokens of a provider is not known: it tells nobody which issuers it takes.',
    {
      why: flags.why,
      next: 'Who runs it knows --oidc-issuer-url or --authentication-config; elsewhere the console of its vendor does.',
    },
  );
}

/** Tokens of a file, which have no end and are taken back by a restart alone. */
export function checkTokenFile(flags: ServerFlags): DoctorFinding[] {
  const file = flags.kind === 'known' ? flags.get('token-auth-file') : '';
  if (file === '') return [];
  return [
    warning('oidc', 'static_token_file', `The API server takes static tokens, from ${file}.`, {
      why: 'They have no end, and are taken back by a restart alone.',
      next: 'Give whoever has one a grant, then take --token-auth-file away.',
    }),
  ];
}
