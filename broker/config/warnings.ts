import { formatDuration } from '../../shared/duration.ts';
import type { Steps } from '../../shared/steps.ts';
import { clean } from '../../shared/text.ts';
import type { Access } from '../policy/access.ts';
import { type CompiledGrant, CompiledPolicy } from '../policy/compile.ts';
import { type PolicyWarning, type Warn, warnAboutPlatform } from './platform-warnings.ts';
import { platforms } from './platforms.ts';
import { systemNamespaces } from './rules.ts';
import type { BrokerConfig } from './broker-config.ts';

/** What is legal and unwise. */
export function* findWarnings(config: BrokerConfig, policy: CompiledPolicy): Steps<PolicyWarning[]> {
  const found: PolicyWarning[] = [];
  const warn: Warn = (code, path, message) => found.push({ code, path, message });
  warnAboutBroker(config, warn);
  for (const grant of CompiledPolicy.grants(policy)) {
    const { platform, idClaims = [] } = config.issuers[grant.issuer] ?? {};
    warnAboutPlatform(grant, platform, idClaims, warn);
    warnAboutCondition(grant, warn);
    warnAboutAccount(grant, warn);
    yield;
  }
  return found;
}

function warnAboutBroker(config: BrokerConfig, warn: Warn): void {
  if ('memory' in config.state) {
    warn(
      'state-memory',
      ['state'],
      'leases and replay protection end with the process and hold for one replica only: name a cluster',
    );
  }
  if (config.admissionPolicy === 'optional') {
    const message =
      'without the admission policy, whoever takes the broker over can read Secrets in its namespaces and mint longer tokens: leave it required';
    warn('admission-optional', ['admissionPolicy'], message);
  }
  for (const issuer of Object.values(config.issuers)) {
    const path = ['issuers', issuer.name];
    if (issuer.audience.startsWith('https://github.com/')) {
      const message =
        'is what GitHub puts into tokens when nobody asks for an audience, so tokens meant for others open this broker too: choose one of its own';
      warn('shared-audience', [...path, 'audience'], message);
    }
    if (issuer.platform === 'gitlab' && issuer.url !== undefined && sameUrl(issuer.audience, issuer.url)) {
      warn('shared-audience', [...path, 'audience'], 'is what GitLab puts into tokens of old: choose one of its own');
    }
    if (issuer.platform === undefined) {
      const message = `has no address that tells its platform, so nothing warns of unsafe claims in its grants, and only ${issuer.idClaims.join(', ')} counts as an id: write platform: ${platforms.join(', ').replace(/, (?=[^,]*$)/, ' or ')}`;
      warn('platform-unknown', path, message);
    }
  }
}

function warnAboutCondition({ name, condition }: CompiledGrant, warn: Warn): void {
  for (const pattern of condition?.unanchored ?? []) {
    const message = `matches("${clean(pattern, 60)}") looks for its pattern anywhere in the text: begin it with ^ and end it with $`;
    warn('regex-unanchored', ['grants', name, 'condition'], message);
  }
}

function warnAboutAccount(grant: CompiledGrant, warn: Warn): void {
  const path = ['grants', grant.name];
  const { account, access, killSwitch, revocable, ttl } = grant.config;
  if (!revocable && killSwitch === undefined && ttl.max > 3_600_000) {
    const message = `lets a token live ${formatDuration(ttl.max)} that nothing can take back: shorten ttl.max, or make it revocable`;
    warn('long-unrevocable', path, message);
  }
  if (account.kind !== 'ephemeral' && account.name === 'default') {
    warn(
      'default-account',
      [...path, 'serviceAccount'],
      'is the account that pods get unless told otherwise, so its rights are theirs too: make one of its own',
    );
  }
  if (account.kind === 'identity' && access === undefined) {
    warn(
      'no-access',
      path,
      'says in `access` no Role that its account is to have: `rbac` binds nothing, and `check` cannot compare',
    );
  }
  warnAboutAccess(access ?? [], [...path, 'access'], warn);
}

/** Their holders read Secrets and mint for other accounts, by design. */
const broadRoles: ReadonlySet<string> = new Set(['cluster-admin', 'admin', 'edit']);

function warnAboutAccess(access: readonly Access[], path: readonly string[], warn: Warn): void {
  for (const { namespace = '' } of access) {
    if (!systemNamespaces.has(namespace)) continue;
    const message = `gives rights in ${namespace}, which can be rights over the whole cluster: bind a Role that names its objects`;
    warn('system-namespace', path, message);
  }
  for (const name of broadRoles) {
    if (!access.some((each) => each.kind === 'ClusterRole' && each.name === name)) continue;
    const message = `gives the ClusterRole ${name}, with which a token gets others that outlive it: write a Role with only what the job changes (kleis-broker rbac --role deployer prints one to begin with)`;
    warn('broad-role', path, message);
  }
}

function sameUrl(left: string, right: string): boolean {
  return left.replace(/\/$/, '') === right.replace(/\/$/, '');
}
