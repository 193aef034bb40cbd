/** @file The classes of data and those a model knows: their names and order, and how one maps to the other. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { listed } from '../../data/listed.ts';
import { alikeHint } from './alikeLabels.ts';

/**
 * Names of the model's classes in the order of its outputs, from `id2label`; undefined where `config.json` has none.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the ids are not 0, 1, 2 … or a name is no string
 */
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

/**
 * The model's labels, or the class numbers where it names none.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where config.json names another number of classes
 */
export function labelsOrNumbers(model: TaskModel, classes: number): readonly string[] {
  const labels = modelLabels(model) ?? Array.from({ length: classes }, (_, id) => String(id));
  if (labels.length === classes) return labels;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `config.json of "${model.name}" names ${labels.length} classes in "id2label", but the graph has ${classes} outputs. Correct "id2label", or export the model again.`,
  );
}

/** Whether classes have names of their own, rather than none or transformers' `LABEL_0`, `LABEL_1`, …. */
function hasNames(model: TaskModel): boolean {
  return modelLabels(model)?.some((label, id) => label !== `LABEL_${id}`) ?? false;
}

/**
 * The labels of all `classes` outputs, given the names of the data's classes: the model's own, when every one is among them;
 * the data's in their order, when the model's classes have no names and are as many. Undefined otherwise: then
 * {@link matchLabels} says why, and {@link chooseHead} makes a new head.
 *
 * @throws OnnxLoraError as {@link labelsOrNumbers}
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

/**
 * The labels, checked.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a class of the data that could be two of the model's
 */
export function checkLabels(model: TaskModel, names: readonly string[], labels: readonly string[]): readonly string[] {
  const twice = names.find((name) => labels.indexOf(name) !== labels.lastIndexOf(name));
  if (twice === undefined) return labels;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The class "${twice}" could mean class ${labels.indexOf(twice)} or ${labels.lastIndexOf(twice)} of "${model.name}", whose config.json gives both this name. Make the names in "id2label" differ.`,
  );
}

/**
 * As {@link knownLabels}, where the model must know them: for a task without new heads. The place of a label among the result
 * is its number in the loss.
 *
 * @param names the classes of the data, each once, as {@link differentLabels} gives them
 * @param classes how many outputs the model's head has
 * @param root what the data is called
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
  const alike = unknown.map((name) => alikeHint(name, labels)).find((hint) => hint !== '');
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The classes of "${root}" are not the classes of "${model.name}". The data's classes (${names.length}): ${listed(names, 20)}. The model's classes (${classes}): ${listed(labels, 20)}. Not among them: ${listed(unknown, 20)}.${alike ?? didYouMean(unknown[0]!, labels)} Rename them after the model's classes; or, to teach it these ${names.length} classes in their place, have it get a new head (head: 'new', --set head=new).`,
  );
}

/** How the data is spoken of. */
export interface DataWords {
  /** What the data is called. */
  readonly root: string;
  /** What its examples are called, in the plural: `images`. */
  readonly noun: string;
}

/**
 * The different labels of all examples, in the order of their code units.
 *
 * @throws OnnxLoraError `DATA_INVALID` where there are none
 */
export function differentLabels(labels: Iterable<string>, { root, noun }: DataWords): readonly string[] {
  // The default order compares code units; a locale's would differ from machine to machine.
  const names = [...new Set(labels)].sort();
  if (names.length > 0) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${noun} of "${root}" have no labels. Put the ${noun} of each class into a folder of its own, or name their labels in a manifest.`,
  );
}
