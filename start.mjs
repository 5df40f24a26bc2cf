// How a program of Kleis starts: in `dist`, where Node runs the package (build.mjs puts the text of this function into each
// program), and in the standalone executable (cli/packaging/standalone/main.ts).

/** What stands around a file, as Node itself has it. */
export const wrapper = ['(function (exports, require, module, __filename) { ', '\n})'];

/**
 * Loads a program, or prints its help. It loads files itself: Node's own loader looks at more of them, and knows no code cache
 * on Node 20. V8 looks whether what is in the cache is of its making, and else does it anew.
 *
 * @param program `kleis`
 * @param home where the files are: they find each other, and what lies beside, from there
 * @param from `read` gives the text of a file, `readCache` its code cache or undefined; `hasPage` is whether there is that help
 */
export function start(program, home, from) {
  var path = require('path');
  var Script = require('vm').Script;
  var modules = {};
  var load = function (file) {
    var module = modules[file];
    if (module === undefined) {
      module = modules[file] = { exports: {} };
      var options = { filename: file };
      var cachedData = from.readCache(file);
      if (cachedData !== undefined) options.cachedData = cachedData;
      var requireFrom = function (name) {
        return name[0] === '.' ? load(path.join(file, '..', name)) : require(name);
      };
      new Script(from.wrapper[0] + from.read(file) + from.wrapper[1], options).runInThisContext()(
        module.exports,
        requireFrom,
        module,
        file,
      );
    }
    return module.exports;
  };
  var words = process.argv.slice(2);
  var isHelp = /^(?:--help|-h)$/.test(words.pop());
  var page = path.join(home, 'help', [program].concat(words).join('.') + '.json');
  if (isHelp && !/[^a-z -]/.test(words.join(' ')) && from.hasPage(page)) {
    var help = JSON.parse(from.read(page));
    load(path.join(home, 'main', 'help.js')).printAtOnce(help, process.stdout, process.env);
  } else {
    load(path.join(home, 'main', program + '.js'));
  }
}
