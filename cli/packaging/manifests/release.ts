import { existsSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { installPage } from '../../../shared/install-page.ts';
import { sha256Of } from '../release/sha256.ts';

export const { version } = packageJson;
export const homepage = 'https://github.com/kleis-dev/kleis';
export const licence = packageJson.license;
/** Homebrew wants less than 80 characters. */
export const summary = 'Short-lived, scoped access to Kubernetes by your single sign-on';
export const about = `A credential plugin for kubectl, which signs people in at their single sign-on, and a broker that exchanges the identities of CI jobs and people for short-lived service-account tokens. ${installPage}`;

/** A file of the release: where it will be, and its SHA-256. */
export interface Published {
  readonly url: string;
  readonly sha256: string;
}

/** Undefined if that folder does not have it: an archive that is made on another machine. */
export function published(folder: string, name: string): Published | undefined {
  const path = join(folder, name);
  if (!existsSync(path)) return undefined;
  return { url: `${homepage}/releases/download/v${version}/${name}`, sha256: sha256Of(path) };
}
