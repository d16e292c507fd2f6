/**
 * A setting is one variable of the environment. The forms of settings (`integer`, `oneOf`, …) make the entries
 * of the tables in `src/config/settings`. A setting without a `default` may be unset, and its value is then
 * undefined.
 */
export interface Setting<Value = unknown> {
  variable: string;
  default: Value;
  /** For the table in README.md and for `npm run config`. */
  desc: string;
  /**
   * Returns the reason why a text is refused; undefined if the text is accepted. The reason is the end of a
   * sentence that begins with the name of the variable, such as "must not be blank". The reason does not repeat
   * the text if the text may contain a password.
   */
  problem(text: string): string | undefined;
  /** Converts a text to the value. Called only if `problem` accepts the text. */
  value(text: string): Value;
}

/**
 * The type of the values of a table of settings: an object with the value of each setting under the key of
 * that setting in the table.
 */
export type Values<Table> = {
  [Key in keyof Table]: Table[Key] extends Setting<infer Value> ? Value : never;
};

type About<Default, Rule> = { default?: Default; desc: string } & Rule;

export function integer<Default extends number | undefined>(
  variable: string,
  { min, max, ...about }: About<Default, { min: number; max: number }>,
): Setting<number | Default> {
  const rule = `must be a whole number from ${min} to ${max}`;
  const holds = (text: string) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max;
  return setting(variable, about, (text) => (holds(text) ? undefined : rule), Number);
}

export function oneOf<Choice extends string, Default extends Choice | undefined>(
  variable: string,
  { choices, ...about }: About<Default, { choices: readonly Choice[] }>,
): Setting<Choice | Default> {
  const rule = `must be one of ${choices.join(', ')}`;
  const holds = (text: string) => choices.some((choice) => choice === text);
  return setting(
    variable,
    about,
    (text) => (holds(text) ? undefined : rule),
    (text) => text as Choice,
  );
}

export function flag<Default extends boolean | undefined>(
  variable: string,
  about: About<Default, object>,
): Setting<boolean | Default> {
  const { problem } = oneOf(variable, { choices: ['true', 'false'], desc: about.desc });
  return setting(variable, about, problem, (text) => text === 'true');
}

export function url(variable: string, { protocols, ...about }: About<undefined, { protocols: string[] }>) {
  const rule = `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`;
  const holds = (text: string) => URL.canParse(text) && protocols.includes(new URL(text).protocol);
  return setting(variable, about, (text) => (holds(text) ? undefined : rule), String);
}

/** A setting whose value is any text that is not blank. The parameter `problem` replaces that rule. */
export function text<Default extends string | undefined>(
  variable: string,
  { problem = blankProblem, ...about }: About<Default, { problem?: Setting['problem'] }>,
): Setting<string | Default> {
  return setting(variable, about, problem, String);
}

/** A setting whose value is a list of texts, separated by commas. Each text must satisfy `holds`. */
export function list(
  variable: string,
  { holds, rule, ...about }: About<undefined, { holds: (item: string) => boolean; rule: string }>,
): Setting<string[] | undefined> {
  const items = (text: string) => text.split(',').map((item) => item.trim());
  return setting(variable, about, (text) => (items(text).every(holds) ? undefined : rule), items);
}

function blankProblem(text: string): string | undefined {
  return /\S/.test(text) ? undefined : 'must not be blank';
}

function setting<Value, Default>(
  variable: string,
  about: { default?: Default; desc: string },
  problem: Setting['problem'],
  value: (text: string) => Value,
): Setting<Value | Default> {
  return { variable, default: about.default as Default, desc: about.desc, problem, value };
}
