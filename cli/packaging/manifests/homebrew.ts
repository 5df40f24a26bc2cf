import { archiveFile } from '../archives/make.ts';
import { type Target, targets } from '../standalone/targets.ts';
import { homepage, licence, published, summary, version } from './release.ts';

const systems = { darwin: 'macos', linux: 'linux' } as const;
const processors = { arm64: 'arm', x64: 'intel' } as const;

/** A formula for a tap: docs.brew.sh/Formula-Cookbook. */
export function homebrewFormula(folder: string): string {
  const of = (os: 'darwin' | 'linux') => {
    const blocks = targets.filter((target) => target.os === os).map((target) => archiveOf(folder, target));
    return `  on_${systems[os]} do\n${blocks.join('')}  end\n`;
  };
  return `class Kleis < Formula
  desc "${summary}"
  homepage "${homepage}"
  version "${version}"
  license "${licence}"

${of('darwin')}
${of('linux')}
  def install
    man1.install Dir["share/man/man1/*"]
    bash_completion.install Dir["share/bash-completion/completions/*"]
    zsh_completion.install Dir["share/zsh/site-functions/*"]
    fish_completion.install Dir["share/fish/vendor_completions.d/*"]
    libexec.install Dir["*"] - ["share"]
    bin.install_symlink Dir[libexec/"k*"]
  end

  test do
    assert_equal version.to_s, shell_output("#{bin}/kleis --version").strip
    assert_match "neither https", shell_output("#{bin}/kleis-credential --issuer-url http://example.com 2>&1", 6)
  end
end
`;
}

function archiveOf(folder: string, target: Target): string {
  const file = published(folder, archiveFile(target));
  if (file === undefined) return '';
  return `    on_${processors[target.arch]} do
      url "${file.url}"
      sha256 "${file.sha256}"
    end
`;
}
