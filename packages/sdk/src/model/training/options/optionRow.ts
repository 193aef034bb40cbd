/** @file A row of the table of options: what one option of `train` takes, what it does to a run that goes on, and its flag. */

import { z } from 'zod';
import type { Transformation } from '../../../train/transformation.ts';
import type { SettingInfo, SettingRow } from '../../../plugin/settings.ts';

/** A heading of the command's help. */
export type Heading =
  | 'Model, data and task'
  | 'The run and its folder'
  | 'Steps and batches'
  | 'How it learns'
  | 'What is adapted'
  | 'The adapter'
  | 'What is measured'
  | 'When something is wrong'
  | 'Where it runs';

/** The flag of an option on the command line, whose name is that of the row. */
export interface FlagFacts {
  /** The heading of help under which the flag stands. An option without a heading has no flag. */
  readonly group?: Heading;
  /** The word behind the flag, where `<n>` or `<x>` says too little. */
  readonly placeholder?: string;
}

/** The place of an option in the identity of a run, which says whether a checkpoint belongs to it. */
export interface IdentityFacts {
  /**
   * What another value does to a run that goes on from a checkpoint: it is refused (`fixed`), it holds from that step on and a
   * warning tells (`mayChange`), or it changes no number of the adapter (`noResult`).
   */
  readonly onResume: 'fixed' | 'mayChange' | 'noResult';
  /** The entry of the identity that shows the option, where that is not its own name: `groups` shows `weightDecay`. */
  readonly seenIn?: string;
}

type KeysOf<Option> = Option extends unknown ? keyof Option : never;
type ValueOf<Option, Key> = Option extends unknown ? (Key extends keyof Option ? Option[Key] : never) : never;
/** The members of a union that are options themselves, such as `{ patience, minDelta }`. */
type Inner<Option> = Exclude<Extract<Option, object>, readonly unknown[] | ((...args: never[]) => unknown)>;

/** Rows of the options within an option; those that an object must have are `required`. */
export type FieldRows<Option> = {
  readonly [Key in KeysOf<Inner<Option>>]: SettingRow<
    Exclude<ValueOf<Inner<Option>, Key>, undefined>,
    FlagFacts & { readonly required?: true }
  >;
};

/** A row: `kind` is absent where the value is an object, or is checked where it is used. */
export type OptionRow<Option> = IdentityFacts & {
  /** The options of an object, which the value is or may be. */
  readonly fields?: FieldRows<Option>;
  /** The value may also be an object or a list, which is checked where it is used. */
  readonly orObject?: true;
  /** What stands around the optimizer's step where the option is given and not false. */
  readonly transformation?: (value: Exclude<Option, false>) => Transformation;
} & (SettingRow<Option, FlagFacts> | { readonly kind?: undefined });

/** A row for each option: one that is missing does not compile. Those in `Defaulted` have a default, and no others. */
export type OptionRows<Options, Defaulted extends keyof Options> = {
  readonly [Key in keyof Options]-?: OptionRow<Exclude<Options[Key], undefined>> & {
    readonly default?: Key extends Defaulted ? unknown : undefined;
  };
} & { readonly [Key in Defaulted]: { readonly default: Options[Key] } };

/** One of these words, or another that a plugin brings, which is checked where it is used. */
export function nameSuchAs(words: readonly string[]): z.ZodType<string> {
  const name = z.string({ error: `must be a name, such as ${words.join(', ')}` });
  return name.min(1, { error: 'must not be empty' });
}

/** Any row, for what goes through all of them. */
export interface AnyOptionRow extends Loose<Omit<SettingInfo, 'default'> & FlagFacts & IdentityFacts> {
  /** What the option is where nobody sets it. */
  readonly default?: unknown;
  /** The options of an object, which the value is or may be. */
  readonly fields?: AnyOptionRows;
  /** The value may also be an object or a list, which is checked where it is used. */
  readonly orObject?: true;
  /** What stands around the optimizer's step where the option is given and not false. */
  readonly transformation?: (value: never) => Transformation;
  /** An object without this option is refused. */
  readonly required?: true;
}

type Loose<Row> = { readonly [Key in keyof Row]?: Row[Key] | undefined };

/** Any rows, by the names of their options. */
export type AnyOptionRows = Readonly<Record<string, AnyOptionRow>>;
