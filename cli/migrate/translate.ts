import type { Mapping } from '../kubeconfig/document.ts';
import { type Method, methodOf, pluginName } from '../kubeconfig/method.ts';
import { translateAuthProvider } from './auth-provider.ts';
import { entraArgs, translateAzureProvider, translateEntra } from './entra.ts';
import { kubeloginArgs, translateKubelogin } from './kubelogin.ts';
import { pinnipedArgs, translatePinniped } from './pinniped.ts';
import { type Translation, Untranslatable } from './translation.ts';

/**
 * What a user entry that signs in with something else would say to Kleis. Undefined if it signs in with Kleis already.
 * Throws `Untranslatable` with the reason, and `config_invalid` for a certificate authority that cannot be read.
 */
export async function translateUser(user: Mapping): Promise<Translation | undefined> {
  const method = methodOf(user);
  if (method.kind === 'kleis') return undefined;
  if (method.kind === 'auth-provider') {
    if (method.name === 'oidc') return translateAuthProvider(method.config);
    if (method.name === 'azure') return translateAzureProvider(method.config);
  }
  if (method.kind === 'plugin') {
    const kubelogin = kubeloginArgs(method.plugin);
    if (kubelogin !== undefined) return translateKubelogin(kubelogin);
    const entra = entraArgs(method.plugin);
    if (entra !== undefined) return translateEntra(entra);
    const pinniped = pinnipedArgs(method.plugin);
    if (pinniped !== undefined) return translatePinniped(pinniped);
  }
  throw new Untranslatable(reasonOf(method));
}

/** As the end of a sentence that begins with the entry's name. */
function reasonOf(method: Method): string {
  if (method.kind === 'auth-provider' || method.kind === 'plugin') {
    const cloud = cloudOf(method);
    if (cloud !== undefined) return `gets a token of ${cloud}, which no OpenID provider gives`;
    const name = method.kind === 'plugin' ? pluginName(method.plugin) : `the auth-provider ${method.name}`;
    return `signs in with ${name}, which Kleis does not know`;
  }
  const what: Readonly<Record<string, string>> = {
    token: 'holds a token, which says nothing of a provider',
    'token file': 'reads a token from a file, which says nothing of a provider',
    password: 'holds a password, which API servers no longer take',
    'client certificate': 'holds a client certificate, which says nothing of a provider',
  };
  return what[method.kind] ?? 'says nothing of how it signs in';
}

/** Known ones that sign their tokens themselves. */
function cloudOf(method: Method): string | undefined {
  if (method.kind === 'auth-provider') return method.name === 'gcp' ? 'Google Cloud' : undefined;
  if (method.kind !== 'plugin') return undefined;
  const { program, args } = method.plugin;
  const clouds: Readonly<Record<string, string>> = {
    oci: 'Oracle Cloud',
    aws: 'AWS',
    'aws-iam-authenticator': 'AWS',
    'gke-gcloud-auth-plugin': 'Google Cloud',
    gcloud: 'Google Cloud',
    doctl: 'DigitalOcean',
  };
  if (program === 'bash' || program === 'sh') return undefined;
  return args.length > 0 || program.startsWith('gke-') ? clouds[program] : undefined;
}
