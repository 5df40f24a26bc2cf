/** Marks comments, and the keys of YAML, in text that is escaped already: all the colour that an example needs. */
export function colour(html: string, language: string): string {
  if (!['sh', 'yaml', 'toml', 'ini', 'logrotate', 'hcl'].includes(language)) return html;
  return html
    .split('\n')
    .map((line) => {
      const [, code = line, comment = ''] = /^(|.*?\s)(#(?:\s.*|$|!.*))$/.exec(line) ?? [];
      const coloured = language === 'yaml' ? code.replace(/^(\s*(?:- )?)([\w./-]+)(:(?:\s|$))/, '$1<b>$2</b>$3') : code;
      return comment === '' ? coloured : `${coloured}<i>${comment}</i>`;
    })
    .join('\n');
}
