/** @file Tables of settings, which give command-line options, checks, help and schemas. */

import { z } from 'zod';
import { didYouMean, OnnxLoraError } from '../errors.ts';

/** A value of a setting, from a command line or a file. */
export type SettingValue = string | number | boolean | readonly string[];

/** Values of settings by name. */
export type SettingValues = Readonly<Record<string, SettingValue>>;

/** Numbers that a setting accepts; any finite number by default. */
export interface NumberBounds {
  /** Integers only. */
  readonly whole?: true;
  /** Minimum, inclusive. */
  readonly min?: number;
  /** Maximum, inclusive. */
  readonly max?: number;
  /** Lower bound, exclusive. */
  readonly above?: number;
  /** Upper bound, exclusive. */
  readonly below?: number;
  /** The unit in messages: `megabytes`. */
  readonly unit?: string;
  /** A valid value, for messages: `0.1`. */
  readonly example?: number;
}

/** Name and type of a setting, for commands, files, help and schemas. */
export interface SettingInfo extends NumberBounds, Pick<DescribedSetting, 'description' | 'default'> {
  /** Name in camel case, with a dot before a nested option: `minLength`, `columns.group`. */
  readonly name: string;
  /** Type of the values: `flag` a boolean, `texts` a list, `choice` one of `of`, `other` what `schema` accepts. */
  readonly kind: 'text' | 'texts' | 'flag' | 'number' | 'choice' | 'other';
  /** The words of a choice. */
  readonly of?: readonly string[];
  /** Words accepted in place of a number: `auto`. */
  readonly or?: readonly string[];
  /** Schema of the kind `other`; its messages continue after the name: `must be a folder, or a fraction`. */
  readonly schema?: z.ZodType;
}

/** Properties of every row of a table. */
export interface DescribedSetting {
  /** One line for `--help`. */
  readonly description: string;
  /** Name, where it differs from the option's: `columns.image` for the `image` of `columns`. */
  readonly name?: string;
  /** Default value; absent where it depends on other things. */
  readonly default?: string | number | boolean;
  /** Words for the values that `to` accepts: `numbers of at least 0`. Without it, others are the default. */
  readonly must?: string;
}

/** Converts a value to an option; optional where the value is the option. */
export type ConvertedSetting<Plain, Option> = [Plain] extends [Option]
  ? { readonly to?: (value: Plain) => Option | undefined }
  : { readonly to: (value: Plain) => Option | undefined };

/** A setting for an option of this type; `Extra` is whatever else a table declares per row. */
export type SettingRow<Option, Extra = unknown> = DescribedSetting &
  Extra &
  (
    | ({ readonly kind: 'text' } & ConvertedSetting<string, Option>)
    | ({ readonly kind: 'texts' } & ConvertedSetting<readonly string[], Option>)
    | ({ readonly kind: 'flag' } & ConvertedSetting<boolean, Option>)
    | ({ readonly kind: 'number'; readonly or?: undefined } & NumberBounds & ConvertedSetting<number, Option>)
    | ({
        readonly kind: 'number';
        readonly or: readonly Extract<Option, string>[];
        readonly to?: undefined;
      } & NumberBounds)
    | ({
        readonly kind: 'number';
        readonly or: readonly string[];
        readonly to: (value: number | string) => Option | undefined;
      } & NumberBounds)
    | { readonly kind: 'other'; readonly schema: z.ZodType; readonly to?: (value: never) => Option | undefined }
    | { readonly kind: 'choice'; readonly of: readonly Extract<Option, string>[]; readonly to?: undefined }
    | { readonly kind: 'choice'; readonly of: readonly string[]; readonly to: (word: string) => Option | undefined }
  );

/** Settings of a nested object of options. */
export type NestedSettings<Option, Extra> = Option extends
  string | number | boolean | readonly unknown[] | ((...args: never[]) => unknown)
  ? never
  : SettingRows<Option, Extra> & { readonly kind?: never };

/** Settings by option, in the order of `--help`; nested objects hold the settings of nested options. */
export type SettingRows<Options, Extra = unknown> = {
  readonly [Key in keyof Options]?:
    SettingRow<Exclude<Options[Key], undefined>, Extra> | NestedSettings<Exclude<Options[Key], undefined>, Extra>;
};

/** The options that were given. */
export type GivenOptions<Options> = { readonly [Key in keyof Options]?: Exclude<Options[Key], undefined> };

/** How messages name a setting and its origin. */
export interface SettingSource {
  /** Owner of the settings: `The task "forecast"`. */
  readonly owner?: string;
  /** Where the setting was given: `--set season`; `The setting season` by default. */
  readonly where?: (name: string) => string;
  /** The remedy; `Correct it.` by default. */
  readonly remedy?: (name: string) => string;
  /** Text after the name of an unknown setting: `, which is set in "run.yaml"`. */
  readonly place?: (name: string) => string;
}

/** A table of settings, made by {@link settingsOf}. */
export interface SettingTable<Options = unknown, Extra = unknown> {
  /** All settings, in order. */
  readonly rows: readonly (SettingInfo & Extra)[];
  /** Parses values, such as numbers from text; idempotent. @throws OnnxLoraError `CONFIG_INVALID` */
  check(given: SettingValues | undefined, source?: SettingSource): SettingValues;
  /** Parses values into options. @throws OnnxLoraError `CONFIG_INVALID` */
  read(given: SettingValues | undefined, source?: SettingSource): GivenOptions<Options>;
  /**
   * Checks options that a program passes by their own names, except those of types that no setting has, such as an
   * object of class weights. @throws OnnxLoraError `CONFIG_INVALID`
   */
  checkOptions(options: { readonly [Key in keyof Options]?: Options[Key] | undefined }): void;
}

/** A row without its option's type; `path` leads to the option. */
interface Row extends SettingInfo, Pick<DescribedSetting, 'must'> {
  readonly path: readonly string[];
  readonly to?: (value: SettingValue) => unknown;
}

/**
 * Makes a table of settings. The type of the options checks the kinds and words of the rows.
 * @example
 * readonly settings: SettingTable<ForecastOptions> = settingsOf({
 *   season: { kind: 'number', whole: true, min: 2, description: 'Rows after which readings repeat.' },
 *   loss: { kind: 'choice', of: ['mse', 'huber'], description: 'mse (default), or huber.' },
 * });
 * // In create(): forecast(data, this.settings.read(options.settings))
 */
export function settingsOf<Options, Extra = unknown>(
  rows: SettingRows<NoInfer<Options>, NoInfer<Extra>>,
): SettingTable<Options, Extra> {
  const all = rowsIn(rows);
  const infos = all.map((row) => {
    const { to: _, must: __, path: ___, ...info } = row;
    return info as SettingInfo & Extra;
  });
  const names = all.map(({ name }) => name);
  const found = (given: SettingValues, source: SettingSource): { row: Row; plain: SettingValue; option: unknown }[] =>
    Object.entries(given).map(([name, value]) => {
      const row = all[names.indexOf(name)];
      if (!row) throw unknownSetting(name, names, source);
      return { row, ...checked(row, value, source) };
    });
  return {
    rows: infos,
    check: (given = {}, source = {}) =>
      Object.fromEntries(found(given, source).map(({ row, plain }) => [row.name, plain])),
    read: (given = {}, source = {}) => {
      const options: Record<string, unknown> = {};
      for (const { row, option } of found(given, source)) {
        if (option === undefined) continue;
        const at = row.path
          .slice(0, -1)
          .reduce((inner, key) => (inner[key] ??= {}) as Record<string, unknown>, options);
        at[row.path.at(-1)!] = option;
      }
      return options as GivenOptions<Options>;
    },
    checkOptions: (options) => {
      for (const row of all) checkOption(row, options);
    },
  };
}

function rowsIn(rows: object, path: readonly string[] = []): Row[] {
  return Object.entries(rows).flatMap(([key, row]: [string, Row | object]) =>
    'kind' in row ? [{ ...row, name: row.name ?? key, path: [...path, key] }] : rowsIn(row, [...path, key]),
  );
}

function checkOption(row: Row, options: object): void {
  let value: unknown = options;
  for (const key of row.path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[key];
  const isOfNoSetting = typeof value === 'object' && value !== null && row.kind !== 'texts';
  if (value === undefined || row.to || isOfNoSetting) return;
  const { error } = settingSchema(row).safeParse(row.kind === 'texts' ? valueOfWords(row, value) : value);
  if (!error) return;
  const shown = typeof value === 'number' ? String(value) : JSON.stringify(value);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${row.path.join('.')} ${error.issues[0]!.message}, but it is ${shown}.${hintFor(row, value)} ${row.description}`,
  );
}

function hintFor({ of = [], or = [] }: Row, given: unknown): string {
  return typeof given === 'string' ? didYouMean(given, [...of, ...or]) : '';
}

function unknownSetting(name: string, names: readonly string[], source: SettingSource): OnnxLoraError {
  const { owner = 'The task', where = nameOfSetting, place = () => '' } = source;
  return new OnnxLoraError(
    'CONFIG_INVALID',
    names.length === 0
      ? `${owner} has no settings of its own, so ${where(name)} has no use. Leave it out.`
      : `${owner} has no setting "${name}"${place(name)}.${didYouMean(name, names)} It has ${names.join(', ')}.`,
  );
}

function nameOfSetting(name: string): string {
  return `The setting ${name}`;
}

function checked(row: Row, given: SettingValue, source: SettingSource): { plain: SettingValue; option: unknown } {
  const { where = nameOfSetting, remedy = () => 'Correct it.' } = source;
  const { data, error } = settingSchema(row).safeParse(valueOfWords(row, given)) as z.ZodSafeParseResult<SettingValue>;
  const option = error || !row.to ? data : row.to(data);
  if (!error && (option !== undefined || row.must === undefined)) return { plain: data, option };
  const message = error?.issues[0]!.message ?? `must be ${row.must}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${where(row.name)} ${message}, but it is ${JSON.stringify(given)}.${hintFor(row, given)} ${remedy(row.name)}`,
  );
}

/** Parses text: numbers, true and false, comma-separated lists. Text that does not parse is returned as it is. */
export function valueOfWords({ kind }: Pick<SettingInfo, 'kind'>, given: unknown): unknown {
  // YAML and JSON files may hold a name that reads as a number.
  if (kind === 'text' && typeof given === 'number') return String(given);
  if (typeof given !== 'string') return given;
  switch (kind) {
    case 'number':
      return given.trim() !== '' && Number.isFinite(Number(given)) ? Number(given) : given;
    case 'flag':
      return given === 'true' ? true : given === 'false' ? false : given;
    case 'texts':
      return given
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
    default:
      return given;
  }
}

/** Upper bound of integers without a `max`: memory or time would run out before. */
const BILLION = 1_000_000_000;

/** The schema of a setting's values; messages continue after the name: `must be a number`. */
export function settingSchema(row: Omit<SettingInfo, 'name' | 'description'>): z.ZodType {
  const text = z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' });
  switch (row.kind) {
    case 'text':
      return text;
    case 'texts':
      return z.array(text, { error: 'must be a list of names' }).min(1, { error: 'must not be empty' });
    case 'other':
      return row.schema!;
    case 'flag':
      return z.boolean({ error: 'must be true or false' });
    case 'choice':
      return z.enum(row.of!, { error: `must be one of ${row.of!.join(', ')}` });
    case 'number': {
      if (!row.or) return numberSchema(row);
      const error = `must be a number${row.unit === undefined ? '' : ` of ${row.unit}`}, or ${row.or.join(' or ')}`;
      return z.union([numberSchema(row, error), z.enum(row.or, { error })], { error });
    }
  }
}

function numberSchema(
  { whole, min, max = whole && BILLION, above, below, example }: NumberBounds,
  told?: string,
): z.ZodType<number> {
  const noun = whole ? 'a whole number' : 'a number';
  const least = above === undefined ? (min === undefined ? '' : ` of at least ${min}`) : ` above ${above}`;
  const inside = above === undefined ? ` from ${min} to below ${below}` : ` between ${above} and ${below}`;
  const such = example === undefined ? '' : `, such as ${example}`;
  const error = told ?? `must be ${noun}${below === undefined ? least : inside}${such}`;
  let schema = whole ? z.int({ error }) : z.number({ error });
  if (above !== undefined) schema = schema.gt(above, { error });
  if (min !== undefined) schema = schema.min(min, { error });
  if (below !== undefined) schema = schema.lt(below, { error });
  if (max === undefined) return schema;
  const most = `must be ${noun}${whole && min !== undefined ? ` from ${min} to ${max}` : `${least} and not above ${max}`}`;
  return schema.max(max, { error: told ?? most });
}
