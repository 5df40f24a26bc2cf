import { describe, expect, it } from 'vitest';
import { compileCondition, ConditionFault, maxConditionLength } from '../../../broker/policy/condition.ts';

const claims = {
  ref: 'refs/heads/main',
  ref_protected: 'true',
  runner_id: 5,
  confirmed: true,
  groups: ['dev', 'platform'],
  mixed: [1, 'a', true, null, { k: 'v' }],
  none: [],
  nested: { x: { y: 'z' } },
  'kubernetes.io': { namespace: 'web' },
  nothing: null,
};

describe('a condition', () => {
  it.each([
    ['claims.ref == "refs/heads/main"', true],
    ['claims.ref != "refs/heads/main"', false],
    ["claims.ref in ['refs/heads/main', 'refs/heads/dev']", true],
    ['claims.ref.startsWith("refs/heads/") && !claims.ref.endsWith("x")', true],
    ['claims.ref.contains("heads")', true],
    ['claims.ref.matches("^refs/heads/(main|release-[0-9]+)$")', true],
    ['claims.ref.matches("(?i)^REFS/")', true],
    [String.raw`claims.ref.matches("^\\pL+/[[:alpha:]]+/")`, true],
    ['claims.ref.matches("^main$")', false],
    ['has(claims.ref)', true],
    ['has(claims.missing)', false],
    ['!has(claims.missing) || claims.missing == "x"', true],
    ['has(claims.nested.x.y) && claims.nested.x.y == "z"', true],
    ['"ref" in claims', true],
    ['"toString" in claims || "constructor" in claims', false],
    ['claims["kubernetes.io"].namespace == "web"', true],
    ['claims.runner_id == 5', true],
    ['claims.runner_id > 4 && claims.runner_id <= 5', true],
    ['claims.runner_id == "5"', false],
    ['claims.confirmed == true', true],
    ['claims.ref_protected == true', false],
    ['"platform" in claims.groups', true],
    ['claims.groups.exists(g, g == "platform")', true],
    ['claims.groups.all(g, g.startsWith("p"))', false],
    ['claims.groups.exists_one(g, g == "dev")', true],
    ['claims.groups.filter(g, g != "dev").size() == 1', true],
    ['claims.groups.map(g, g + "!") == ["dev!", "platform!"]', true],
    ['claims.none.all(g, g == "x")', true],
    ['claims.none.exists(g, g == "x")', false],
    ['"a" in claims.mixed && claims.mixed.exists(m, m == 1)', true],
    ['claims.nothing == null', true],
    ['size(claims.ref) == 15', true],
    ['claims.ref.lowerAscii() == claims.ref', true],
    ['type(claims.ref) == string', true],
    ['claims.missing == "x" || claims.ref == "refs/heads/main"', true],
    ['claims.ref == "x" ? claims.missing == "y" : true', true],
  ])('%s is %s', (source, expected) => {
    expect(compileCondition(source).evaluate(claims).ok).toBe(expected);
  });

  it.each([
    ['claims.missing == "x"', 'No such key: missing'],
    ['claims.missing != "x"', 'No such key: missing'],
    ['!(claims.missing == "x")', 'No such key: missing'],
    ['claims.nested.q.r == "x"', 'No such key: q'],
    ['claims.groups[5] == "x"', 'out of bounds'],
    ['claims.runner_id.startsWith("5")', 'no matching overload'],
    ['claims.ref > 5', 'no such overload'],
    ['!claims.ref', 'no such overload'],
    ['claims.ref && true', 'bool'],
    ['claims.runner_id / 0 == 1', ''],
    ['int(claims.ref) == 1', 'int'],
    ['claims.ref.all(c, true)', 'comprehension'],
    ['claims.__proto__ == "x"', 'No such key'],
    ['claims.nested.constructor == "x"', 'No such key'],
  ])('%s denies, since it fails: %s', (source, reason) => {
    const answer = compileCondition(source).evaluate(claims);
    expect(answer.ok).toBe(false);
    expect(answer.reason).toContain(reason);
  });

  it('sees claims whose names JavaScript objects answer to as the claims they are', () => {
    const odd = JSON.parse('{"__proto__": "x", "constructor": "y", "then": "z"}') as Record<string, unknown>;
    expect(
      compileCondition('claims.__proto__ == "x" && claims.constructor == "y" && claims.then == "z"').evaluate(odd).ok,
    ).toBe(true);
  });

  it.each([
    ['', 'is empty'],
    ['true', 'does not look at `claims`'],
    ['1 == 1', 'does not look at `claims`'],
    ['claims.ref', 'must be true or false, and may be dyn'],
    ['size(claims.ref)', 'must be true or false, and may be int'],
    ['claims.ref ==', 'is not valid'],
    ['claims.ref == "x', 'is not valid'],
    ['claim.ref == "x"', 'Unknown variable: claim'],
    ['claims.ref == "x" && "a" == 5', 'no such overload'],
    ['claims.ref.upper() == "X"', 'knows no method .upper()'],
    ['claims.groups.join() == "X"', 'knows no method .join()'],
    ['cel.bind(a, claims.ref, a == "x")', 'knows no method .bind()'],
    ['timestamp(claims.ref) == timestamp(claims.ref)', 'knows no function timestamp()'],
    ['claims.ref.matches(claims.pattern)', 'no literal text'],
    ['claims.ref.matches("(")', 'no RE2 expression'],
    ['claims.ref.matches("(?=x)")', 'no RE2 expression'],
    [String.raw`claims.ref.matches("(a)\\1")`, 'no RE2 expression'],
    ['claims.ref.matches("^main|develop$")', 'put the alternatives into parentheses'],
    ['claims.ref.matches("^main|develop")', 'put the alternatives into parentheses'],
    ['claims.ref.matches("(a{100}){100}")', 'repeats too much'],
    [`claims.ref.matches("${'a'.repeat(300)}")`, 'too long'],
    ['claims.groups.exists(claims, claims == "x")', 'gives the name `claims` to something else'],
    ['claims.a.all(a, claims.b.all(b, claims.c.all(c, claims.d.all(d, a == b && c == d))))', 'nest fewer loops'],
    [`claims.ref == "${'x'.repeat(maxConditionLength)}"`, 'more than'],
    [`${'('.repeat(100)}claims.a == 1${')'.repeat(100)}`, 'is not valid'],
    [`claims.a == 1${' && claims.a == 1'.repeat(100)}`, 'is not valid'],
  ])('%s cannot be compiled: %s', (source, message) => {
    expect(() => compileCondition(source)).toThrow(ConditionFault);
    expect(() => compileCondition(source)).toThrow(message);
  });

  it('says where in the expression the fault is', () => {
    const fault = (source: string): number | undefined => {
      try {
        compileCondition(source);
        return undefined;
      } catch (error) {
        return (error as ConditionFault).offset;
      }
    };
    expect(fault('claims.a == 1 && claims.b.upper() == "X"')).toBe(17);
    expect(fault('claims.a == 1 && nope == 2')).toBe(17);
  });

  it.each([
    ['^a$', true],
    ['^(a|b)$', true],
    ['^a$|^b$', true],
    ['a', false],
    ['^a', false],
    [String.raw`^a\$`, false],
    ['^[|]$', true],
    [String.raw`^a\|b$`, true],
  ])('knows that %s is anchored: %s', (pattern, anchored) => {
    const condition = compileCondition(`claims.x.matches(${JSON.stringify(pattern)})`);
    expect(condition.unanchored).toEqual(anchored ? [] : [pattern]);
  });
});

describe('the cost of a condition', () => {
  const timed = (work: () => unknown): number => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };

  it('is linear in the text for a pattern that makes backtracking engines hang', () => {
    const condition = compileCondition('claims.x.matches("^(a+)+$")');
    expect(timed(() => expect(condition.evaluate({ x: `${'a'.repeat(1000)}!` }).ok).toBe(false))).toBeLessThan(500);
  });

  it('is bounded for loops within loops, whatever the token holds', () => {
    const condition = compileCondition('claims.a.all(x, claims.a.all(y, x == y || x != y))');
    expect(condition.evaluate({ a: ['1', '2', '3'] }).ok).toBe(true);
    const many = Array.from({ length: 5000 }, (_, index) => String(index));
    const took = timed(() => {
      expect(condition.evaluate({ a: many })).toEqual({
        ok: false,
        reason: 'the claims are too large for what the condition does with them',
      });
    });
    expect(took).toBeLessThan(100);
  });

  it('is bounded for values that grow from loop to loop', () => {
    const doubled = (times: number): string => `[claims.a]${'.map(x, [x, x])'.repeat(times)}`;
    const condition = compileCondition(`${doubled(5)} == ${doubled(5)}`);
    expect(condition.evaluate({ a: ['x'] }).ok).toBe(true);
    const many = Array.from({ length: 50_000 }, () => 'x');
    expect(timed(() => expect(condition.evaluate({ a: many }).ok).toBe(false))).toBeLessThan(500);
    expect(() => compileCondition(`${doubled(20)} == ${doubled(20)}`)).toThrow('costs too much');
  });

  it('leaves room for what policies do with a token of many groups', () => {
    const groups = Array.from({ length: 500 }, (_, index) => `team-${index}`);
    expect(compileCondition('claims.groups.exists(g, g.matches("^team-499$"))').evaluate({ groups }).ok).toBe(true);
    expect(
      compileCondition('claims.groups.all(g, g.startsWith("team-") && g != "admin")').evaluate({ groups }).ok,
    ).toBe(true);
  });
});
