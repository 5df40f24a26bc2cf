import type { Target } from './target.ts';
import { type Entry, file, folder, link } from './tree.ts';

/** The user of both images: the one of the field's images without a root. */
export const user = 65532;

/** What no package brings: who there is, how names are found, and where a kernel and a runtime put their own. */
export function systemFiles(target: Target): Entry[] {
  const home = target === 'ci' ? '/home/nonroot' : '/nonexistent';
  const shell = target === 'ci' ? '/bin/sh' : '/usr/sbin/nologin';
  const common = [
    ...['bin', 'lib', 'lib64', 'sbin'].map((name) => link(name, `usr/${name}`)),
    ...['usr/bin', 'usr/lib64', 'usr/sbin', 'dev', 'proc', 'run', 'sys'].map((path) => folder(path)),
    link('var/run', '/run'),
    file('etc/passwd', `root:x:0:0:root:/root:/usr/sbin/nologin\nnonroot:x:${user}:${user}:nonroot:${home}:${shell}\n`),
    file('etc/group', `root:x:0:\nnonroot:x:${user}:\n`),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
  ];
  if (target === 'broker') return common;
  return [
    ...common,
    folder('home/nonroot', 0o700, user),
    folder('tmp', 0o1777),
    ...applets.map((name) => link(`usr/bin/${name}`, 'busybox')),
  ];
}

/** What scripts of CI jobs call. */
const applets = (
  '[ ash awk base64 basename cat chmod chown cp cut date dd diff dirname du echo env expr false find grep gunzip gzip head ' +
  'hostname id install kill ln ls md5sum mkdir mkfifo mktemp mv nc nslookup od paste printf ps pwd readlink realpath rm rmdir ' +
  'sed seq sh sha1sum sha256sum sha512sum sleep sort stat stty tail tar tee test timeout touch tr true tty uname uniq unzip ' +
  'vi wc wget which whoami xargs xz yes'
).split(' ');
