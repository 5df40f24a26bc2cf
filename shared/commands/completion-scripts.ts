import type { Shell } from './asker.ts';

const idOf = (name: string) => `_${name.replaceAll('-', '_')}`;

// They ask the program itself, so that they never know less than `--help` does, and run nothing of what it answers.
export const scripts: Readonly<Record<Shell, (names: readonly [string, ...string[]]) => string>> = {
  // Bash takes = and : for ends of words: they are put together again, and what stands before them is not given back.
  bash: ([name, ...others]) => `${idOf(name)}() {
  local line=\${COMP_LINE:0:COMP_POINT} index word value about current
  local -a words=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    current=\${line#"\${line%%[![:space:]]*}"}
    [[ $index -lt $COMP_CWORD ]] || word=$current
    if [[ $index -eq 0 || $current != "$line" || -z $line ]]; then
      words+=("$word")
    else
      words[\${#words[@]} - 1]+=$word
    fi
    line=\${current#"$word"}
  done
  [[ $word != [=:] ]] || word=
  local last=\${words[\${#words[@]} - 1]}
  COMPREPLY=()
  while IFS=$'\\t' read -r value about; do
    COMPREPLY+=("\${value#"\${last%"$word"}"}")
  done < <(command "\${words[0]}" __complete --shell bash -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F ${idOf(name)} ${[name, ...others].join(' ')}
`,
  zsh: ([name, ...others]) => `#compdef ${[name, ...others].join(' ')}
${idOf(name)}() {
  local -a found shown
  local value about
  while IFS=$'\\t' read -r value about; do
    found+=("$value")
    shown+=("$value\${about:+  -- $about}")
  done < <(command "$words[1]" __complete --shell zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  if (( $#found )); then
    compadd -V ${name} -l -d shown -a -- found
  else
    _files
  fi
}
# From a folder of $fpath this text is the function itself, and is read when it is first wanted.
if [[ \${\${funcstack[1]-}//-/_} = ${idOf(name)} ]]; then
  ${idOf(name)}
else
  compdef ${idOf(name)} ${[name, ...others].join(' ')}
fi
`,
  fish: ([name, ...others]) => `function _${idOf(name)}
  set -l words (commandline -opc)
  set -l current (string unescape -- (commandline -ct))
  test (count $current) -eq 1; or set current (commandline -ct)
  set -l found (command $words[1] __complete --shell fish -- $words[2..-1] "$current" 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
${[name, ...others].map((each) => `complete -c ${each} -f -a '(_${idOf(name)})'`).join('\n')}
`,
  powershell: ([
    name,
    ...others
  ]) => `Register-ArgumentCompleter -Native -CommandName ${[name, ...others].join(', ')} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
    if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
  }) + $wordToComplete
  $packed = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($words -join [char]0))
  & ${name} __complete --shell powershell $packed 2>$null | ForEach-Object {
    $value, $about = $_ -split [char]9, 2
    if (-not $about) { $about = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
  }
}
`,
};
