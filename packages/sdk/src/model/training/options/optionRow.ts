/** @file A row of the options table of `train`: value, effect on resuming, and flag. */

import { z } from 'zod';
import type { Transformation } from '../../../train/transformation.ts';
import type { SettingInfo, SettingRow } from '../../../plugin/settings.ts';

/** A heading of the command's help. */
export type Heading =
  | 'Model, data and task'
  | 'The run and its folder'
  | 'Steps and batches'
  | 'Optimization'
  | 'Target modules'
  | 'The adapter'
  | 'Evaluation'
  | 'Error handling'
  | 'Hardware';

/** The command-line flag of an option, named like its row. */
export interface FlagFacts {
  /** The heading in the help. Options without one have no flag. */
  readonly group?: Heading;
  /** The placeholder, if `<n>` or `<x>` says too little. */
  readonly placeholder?: string;
}

/** How a resumed run compares an option with its checkpoint. */
export interface IdentityFacts {
  /** Effect of a change on resuming: rejected (`fixed`), applied with a warning (`mayChange`), none (`noResult`). */
  readonly onResume: 'fixed' | 'mayChange' | 'noResult';
  /** The identity's entry for the option, if named differently: `groups` includes `weightDecay`. */
  readonly seenIn?: string;
}

type KeysOf<Option> = Option extends unknown ? keyof Option : never;
type ValueOf<Option, Key> = Option extends unknown ? (Key extends keyof Option ? Option[Key] : never) : never;
type Inner<Option> = Exclude<Extract<Option, object>, readonly unknown[] | ((...args: never[]) => unknown)>;

/** Rows of the options in an object; mandatory ones are `required`. */
export type FieldRows<Option> = {
  readonly [Key in KeysOf<Inner<Option>>]: SettingRow<
    Exclude<ValueOf<Inner<Option>, Key>, undefined>,
    FlagFacts & { readonly required?: true }
  >;
};

/** A row. Without `kind`, the value is an object, or is checked where it is used. */
export type OptionRow<Option> = IdentityFacts & {
  readonly fields?: FieldRows<Option>;
  /** Also allows an object or list, checked where it is used. */
  readonly orObject?: true;
  /** Creates the transformations around the optimizer's step, unless the value is false. */
  readonly transformation?: (value: Exclude<Option, false>) => Transformation | readonly Transformation[];
} & (SettingRow<Option, FlagFacts> | { readonly kind?: undefined });

/** A row per option, checked by the compiler. Exactly those in `Defaulted` have a default. */
export type OptionRows<Options, Defaulted extends keyof Options> = {
  readonly [Key in keyof Options]-?: OptionRow<Exclude<Options[Key], undefined>> & {
    readonly default?: Key extends Defaulted ? unknown : undefined;
  };
} & { readonly [Key in Defaulted]: { readonly default: Options[Key] } };

/** One of these names, or a plugin's, which is checked where it is used. */
export function oneOfOrPlugin(words: readonly string[]): z.ZodType<string> {
  const name = z.string({ error: `must be a name, such as ${words.join(', ')}` });
  return name.min(1, { error: 'must not be empty' });
}

/** Any row, for code that loops over all of them. */
export interface AnyOptionRow extends Loose<Omit<SettingInfo, 'default'> & FlagFacts & IdentityFacts> {
  /** The default value. */
  readonly default?: unknown;
  /** Rows of the value's fields, if it is or may be an object. */
  readonly fields?: AnyOptionRows;
  /** Also allows an object or list, checked where it is used. */
  readonly orObject?: true;
  /** Creates the transformations around the optimizer's step, unless the value is false. */
  readonly transformation?: (value: never) => Transformation | readonly Transformation[];
  /** Mandatory in its object. */
  readonly required?: true;
}

type Loose<Row> = { readonly [Key in keyof Row]?: Row[Key] | undefined };

/** Any rows, by option name. */
export type AnyOptionRows = Readonly<Record<string, AnyOptionRow>>;
