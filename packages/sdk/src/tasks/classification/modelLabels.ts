/** @file The labels of data and models, the mapping between them, and labels that look the same. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { quotedNames } from '../../data/listed.ts';

/** The model's labels from `id2label`, in order, if any. @throws OnnxLoraError `CONFIG_INVALID` */
function modelLabels(model: TaskModel): readonly string[] | undefined {
  const id2label = model.config?.['id2label'];
  if (id2label === undefined || id2label === null) return undefined;
  const entries = typeof id2label === 'object' ? new Map<string, unknown>(Object.entries(id2label)) : undefined;
  const labels = entries && Array.from({ length: entries.size }, (_, id) => entries.get(String(id)));
  if (labels?.every((label) => typeof label === 'string') && labels.length > 0) return labels;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"id2label" in config.json of "${model.name}" must give a name to every class from 0 on: { "0": "cat", "1": "dog" }. Correct it.`,
  );
}

/** The model's labels, or class indices. @throws OnnxLoraError `CONFIG_INVALID` if their number is not `classes` */
export function labelsOrNumbers(model: TaskModel, classes: number): readonly string[] {
  const labels = modelLabels(model) ?? Array.from({ length: classes }, (_, id) => String(id));
  if (labels.length === classes) return labels;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `config.json of "${model.name}" names ${labels.length} classes in "id2label", but the graph has ${classes} outputs. Correct "id2label", or export the model again.`,
  );
}

/** Whether classes have names other than transformers' `LABEL_0`, `LABEL_1`, …. */
function hasNames(model: TaskModel): boolean {
  return modelLabels(model)?.some((label, id) => label !== `LABEL_${id}`) ?? false;
}

/**
 * The labels of the model's outputs: its own, if they include all `names`; or `names` in order, if its classes have no
 * names and the number matches. Undefined otherwise: {@link matchLabels} then explains, {@link chooseHead} makes a new
 * head. @throws OnnxLoraError as {@link labelsOrNumbers}
 */
export function knownLabels(
  model: TaskModel,
  names: readonly string[],
  classes: number,
): readonly string[] | undefined {
  const labels = labelsOrNumbers(model, classes);
  if (names.every((name) => labels.includes(name))) return labels;
  return !hasNames(model) && names.length === classes ? names : undefined;
}

/** Returns `labels`. @throws OnnxLoraError `DATA_INVALID` if a class of the data matches two of the model's */
export function checkLabels(model: TaskModel, names: readonly string[], labels: readonly string[]): readonly string[] {
  const twice = names.find((name) => labels.indexOf(name) !== labels.lastIndexOf(name));
  if (twice === undefined) return labels;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The class "${twice}" could mean class ${labels.indexOf(twice)} or ${labels.lastIndexOf(twice)} of "${model.name}", whose config.json gives both this name. Make the names in "id2label" differ.`,
  );
}

/**
 * As {@link knownLabels}, for tasks without new heads. The index of a label in the result is its number in the loss.
 * @param names the classes of the data, as {@link differentLabels} returns them
 * @param classes number of outputs of the model's head
 * @param root name of the data in messages
 * @throws OnnxLoraError `DATA_INVALID`, with both lists
 */
export function matchLabels(
  model: TaskModel,
  names: readonly string[],
  classes: number,
  root: string,
): readonly string[] {
  const known = knownLabels(model, names, classes);
  if (known) return checkLabels(model, names, known);
  const labels = labelsOrNumbers(model, classes);
  const unknown = names.filter((name) => !labels.includes(name));
  const alike = unknown.map((name) => confusableHint(name, labels)).find((hint) => hint !== '');
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The classes of "${root}" are not the classes of "${model.name}". The data's classes (${names.length}): ${quotedNames(names, 20)}. The model's classes (${classes}): ${quotedNames(labels, 20)}. Not among them: ${quotedNames(unknown, 20)}.${alike ?? didYouMean(unknown[0]!, labels)} Rename them after the model's classes; or, to teach it these ${names.length} classes in their place, have it get a new head (head: 'new', --set head=new).`,
  );
}

/** Names of the data in messages. */
export interface DataNames {
  /** Name of the data. */
  readonly root: string;
  /** Examples in the plural: `images`. */
  readonly noun: string;
}

/** The distinct labels, sorted by code units. @throws OnnxLoraError `DATA_INVALID` if there are none */
export function differentLabels(labels: Iterable<string>, { root, noun }: DataNames): readonly string[] {
  // The default order compares code units; a locale's would differ between machines.
  const names = [...new Set(labels)].sort();
  if (names.length > 0) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${noun} of "${root}" have no labels. Put the ${noun} of each class into their own folder, or name their labels in a manifest.`,
  );
}

/** Normalises a label to how it looks: composed characters, single plain spaces. */
function lookOf(label: string): string {
  return label.normalize('NFC').replaceAll(/\s+/g, ' ').trim();
}

function shown(label: string): string {
  return JSON.stringify(label).replaceAll(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16).padStart(4, '0');
    return code.length > 4 ? `\\u{${code}}` : `\\u${code}`;
  });
}

/** A hint if a `label` outside of `labels` looks like one of them; otherwise an empty string. */
export function confusableHint(label: string, labels: Iterable<string>): string {
  const look = lookOf(label);
  for (const other of labels)
    if (other !== label && lookOf(other) === look)
      return ` It looks like ${shown(other)} and is ${shown(label)}: the same characters in another Unicode form (NFC or NFD), or other spaces. Write both alike (in Python unicodedata.normalize("NFC", label).strip()).`;
  return '';
}

/** Rejects labels that look the same, since readers could not tell them apart. @throws OnnxLoraError `DATA_INVALID` */
export function refuseConfusableLabels(labels: readonly string[], root: string): void {
  const looks = new Map<string, string>();
  for (const label of labels) {
    const other = looks.get(lookOf(label));
    if (other !== undefined)
      throw new OnnxLoraError('DATA_INVALID', `"${root}" has two labels that look like "${label}".${confusableHint(label, [other])}`); // prettier-ignore
    looks.set(lookOf(label), label);
  }
}

/** Warnings about labels that differ only in capitals or in compatibility characters, such as full-width letters. */
export function confusableWarnings(labels: readonly string[]): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const label of labels) {
    const key = label.normalize('NFKC').toLowerCase();
    groups.set(key, [...(groups.get(key) ?? []), label]);
  }
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => `The labels ${group.map((label) => `"${label}"`).join(' and ')} differ only in capitals or in the form of letters, and are learned as different classes. Rename them where they are meant to be one.`); // prettier-ignore
}
