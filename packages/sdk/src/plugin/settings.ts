/** @file Settings as a table: what each is called, what values it takes, and which option it is; everything else comes from it. */

import { z } from 'zod';
import { didYouMean, OnnxLoraError } from '../errors.ts';

/** The value of a setting, as a command line or a file has it. */
export type SettingValue = string | number | boolean | readonly string[];

/** Values of settings by name. */
export type SettingValues = Readonly<Record<string, SettingValue>>;

/** What numbers a setting takes; any finite one by default. */
export interface NumberBounds {
  /** Only whole numbers. */
  readonly whole?: true;
  /** The least. */
  readonly min?: number;
  /** The most. */
  readonly max?: number;
  /** Less than any that is taken. */
  readonly above?: number;
  /** More than any that is taken. */
  readonly below?: number;
  /** What it counts, for messages: `megabytes`. */
  readonly unit?: string;
  /** One that is taken, for messages: `0.1`. */
  readonly example?: number;
}

/** What a setting is called and takes, as commands, files, help and schemas need it. */
export interface SettingInfo extends NumberBounds, Pick<DescribedSetting, 'description' | 'default'> {
  /** In camel case, with a dot before an option of an option: `minLength`, `columns.group`. */
  readonly name: string;
  /** What values it takes: `flag` is true or false, `texts` a list, `choice` one of the words in `of`, `other` what `schema` says. */
  readonly kind: 'text' | 'texts' | 'flag' | 'number' | 'choice' | 'other';
  /** The words of a choice. */
  readonly of?: readonly string[];
  /** Words that a number may be instead: `auto`. */
  readonly or?: readonly string[];
  /** What checks values of no usual kind; messages go on after the name: `must be a folder, or a fraction`. */
  readonly schema?: z.ZodType;
}

/** What every row says of its setting. */
export interface DescribedSetting {
  /** One line for `--help`. */
  readonly description: string;
  /** What it is called where the option's own name says too little: `columns.image` for the `image` of `columns`. */
  readonly name?: string;
  /** What it is where nobody sets it; absent where that depends on other things. */
  readonly default?: string | number | boolean;
  /** What a value must be that `to` has no option for: `numbers of at least 0`. Without it, such a value is the default. */
  readonly must?: string;
}

/** The option of a value, where there is one. Values that are options as they are need no function. */
export type ConvertedSetting<Plain, Option> = [Plain] extends [Option]
  ? { readonly to?: (value: Plain) => Option | undefined }
  : { readonly to: (value: Plain) => Option | undefined };

/** A setting that gives an option of this type; `Extra` is what a table says of each beyond that. */
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

/** Options that hold others. */
export type NestedSettings<Option, Extra> = Option extends
  string | number | boolean | readonly unknown[] | ((...args: never[]) => unknown)
  ? never
  : SettingRows<Option, Extra> & { readonly kind?: never };

/** Settings by the options that they give, in the order of `--help`; options within others stand within them. */
export type SettingRows<Options, Extra = unknown> = {
  readonly [Key in keyof Options]?:
    SettingRow<Exclude<Options[Key], undefined>, Extra> | NestedSettings<Exclude<Options[Key], undefined>, Extra>;
};

/** Options that were given. */
export type GivenOptions<Options> = { readonly [Key in keyof Options]?: Exclude<Options[Key], undefined> };

/** How what was given is named in messages. */
export interface SettingSource {
  /** Whose settings they are: `The task "forecast"`. */
  readonly owner?: string;
  /** Where it was given: `--set season`; `The setting season` by default. */
  readonly where?: (name: string) => string;
  /** What is to be done, by default `Correct it.` */
  readonly remedy?: (name: string) => string;
  /** Behind the name of a setting that there is not: `, which is set in "run.yaml"`. */
  readonly place?: (name: string) => string;
}

/** A table of settings, made by {@link settingsOf}. */
export interface SettingTable<Options = unknown, Extra = unknown> {
  /** All settings, in their order. */
  readonly rows: readonly (SettingInfo & Extra)[];
  /**
   * What was given, each a value of its kind: a number that was text is a number. What was checked once stays as it is.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` for a name that there is not, and a value that cannot be
   */
  check(given: SettingValues | undefined, source?: SettingSource): SettingValues;
  /**
   * The options that were given.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` as `check`
   */
  read(given: SettingValues | undefined, source?: SettingSource): GivenOptions<Options>;
  /**
   * Checks options that a program gives by their own names, as settings are. Options of kinds that no setting has, such as a
   * weight for each class, are whose they are to check.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` for a value that cannot be
   */
  checkOptions(options: { readonly [Key in keyof Options]?: Options[Key] | undefined }): void;
}

/** A row as it is once its type has been checked. */
interface AnyRow extends DescribedSetting, Omit<SettingInfo, 'name'> {
  readonly to?: (value: SettingValue) => unknown;
}

/**
 * A table of settings from the options that they give: the type of the options checks kinds and words of the rows.
 *
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
  const all = rowsIn(rows as unknown as Readonly<Record<string, AnyRow>>);
  const infos = all.map(({ name, row }) => {
    const { to: _, must: __, ...info } = row;
    return { ...info, name } as SettingInfo & Extra;
  });
  const names = infos.map(({ name }) => name);
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

function checkOption({ path, row }: Row, options: unknown): void {
  const value = path.reduce<unknown>((inner, key) => (inner as Readonly<Record<string, unknown>> | undefined)?.[key], options); // prettier-ignore
  const isOfNoSetting = typeof value === 'object' && value !== null && row.kind !== 'texts';
  if (value === undefined || row.to || isOfNoSetting) return;
  const { error } = settingSchema(row).safeParse(row.kind === 'texts' ? valueOfWords(row, value) : value);
  if (!error) return;
  const shown = typeof value === 'number' ? String(value) : JSON.stringify(value);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${path.join('.')} ${error.issues[0]!.message}, but it is ${shown}.${hintFor(row, value)} ${row.description}`,
  );
}

/** What a word that was given may be meant as. */
function hintFor({ of = [], or = [] }: AnyRow, given: unknown): string {
  return typeof given === 'string' ? didYouMean(given, [...of, ...or]) : '';
}

interface Row {
  readonly path: readonly string[];
  readonly name: string;
  readonly row: AnyRow;
}

function rowsIn(rows: Readonly<Record<string, AnyRow>>, path: readonly string[] = []): Row[] {
  return Object.entries(rows).flatMap(([key, row]) =>
    typeof row.kind === 'string'
      ? [{ path: [...path, key], name: row.name ?? key, row }]
      : rowsIn(row as unknown as Readonly<Record<string, AnyRow>>, [...path, key]),
  );
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

function checked(
  { name, row }: Row,
  given: SettingValue,
  source: SettingSource,
): { plain: SettingValue; option: unknown } {
  const { where = nameOfSetting, remedy = () => 'Correct it.' } = source;
  const { data, error } = settingSchema(row).safeParse(valueOfWords(row, given)) as z.ZodSafeParseResult<SettingValue>;
  const option = error || !row.to ? data : row.to(data);
  if (!error && (option !== undefined || row.must === undefined)) return { plain: data, option };
  const message = error?.issues[0]!.message ?? `must be ${row.must}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${where(name)} ${message}, but it is ${JSON.stringify(given)}.${hintFor(row, given)} ${remedy(name)}`,
  );
}

/** The value that words stand for: numbers, true and false, lists with commas between. What cannot be one stays as it is. */
export function valueOfWords({ kind }: Pick<SettingInfo, 'kind'>, given: unknown): unknown {
  // A file may hold a name that reads as a number.
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

/** More than anybody needs of anything whole: memory or time would end before. */
const BILLION = 1_000_000_000;

/** What checks values of a setting; messages go on after what it is called: `must be a number`. */
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
  const most = whole ? `must be ${noun} from ${min} to ${max}` : `must be ${noun}${least} and not above ${max}`;
  return schema.max(max, { error: told ?? most });
}
