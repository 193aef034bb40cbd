/** @file Chooses the task of a command and says why; passes on warnings about its data. */

import type { Model } from '@onnx-lora/sdk';
import { didYouMean, guardedFactory, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import type { Context } from './context.ts';
import { flagsOfRun, notLoadedHint } from './plugins/requested.ts';
import type { ChosenAdapter } from './sources.ts';
import { usageError } from './terminal/errors.ts';

/**
 * Chooses the task: the named one, else the adapter's, else the family's usual one. Tells the choice with its reason.
 * Errors of the task name it.
 * @param tell receives the line about the choice
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown or missing task; by `prepare` of a task chosen by default, when
 *   another task would learn columns that it does not use
 */
export async function chooseTask(
  asked: string | undefined,
  model: Model,
  loaded: Context,
  tell: (line: string) => void,
  chosen?: ChosenAdapter,
): Promise<TaskFactory> {
  const { tasks } = loaded.registry;
  const told = (factory: TaskFactory, why: string): TaskFactory => {
    tell(`task ${factory.name}: ${why}`);
    return guardedFactory(factory);
  };
  const known = tasks.map(({ name }) => name);
  const named = (name: string): TaskFactory | undefined => tasks.find((each) => each.name === name);
  if (asked !== undefined) {
    const found = named(asked);
    if (found) return told(found, 'as you named it');
    throw usageError(
      `There is no task "${asked}".${didYouMean(asked, known)} Tasks are ${known.join(', ')}.${notLoadedHint(loaded)}`,
    );
  }
  const trained = chosen?.adapter.notes.task;
  if (trained !== undefined) {
    // The adapter's task may be of another domain, whose plugin is loaded now.
    const own = named(trained) ?? (await loaded.everything()).tasks.find(({ name }) => name === trained);
    if (own) return told(own, `"${chosen!.source}" was trained for it`);
    const [flags, hint] = [await flagsOfRun(chosen!.source, loaded), notLoadedHint(loaded)];
    throw usageError(
      `The adapter was trained for "${trained}", which no loaded plugin brings. Load its plugin: ${flags.length > 0 ? `${flags.join(' ')}.` : `--plugin NAME.${hint}`} Or say with --task what else to do.`,
    );
  }
  const usual = model.family?.tasks.flatMap((name) => named(name) ?? [])[0];
  if (usual)
    return unambiguous(told(usual, `the usual one of the family "${model.family!.name}"; --task names another`));
  const why = model.family
    ? `No task for the family "${model.family.name}" is installed.`
    : `"${model.name}" is of no known family.`;
  throw usageError(`${why} Say what to do with --task; tasks are ${known.join(', ')}.${notLoadedHint(loaded)}`);
}

/** Calls `look` with the prepared task. */
function watched(task: Task, look: (prepared: PreparedTask) => void): Task {
  return {
    ...task,
    prepare: async (model) => {
      const prepared = await task.prepare(model);
      look(prepared);
      return prepared;
    },
  };
}

/** Refuses data that fits another task better. */
function unambiguous(factory: TaskFactory): TaskFactory {
  const { name } = factory;
  return {
    ...factory,
    create: (options) =>
      watched(factory.create(options), ({ alsoFits = [] }) => {
        const unlike = alsoFits.filter(({ task }) => task !== name);
        if (unlike.length === 0) return;
        const others = unlike.map(({ task, column }) => `${task} would learn the column "${column}"`);
        const tasks = new Set([name, ...unlike.map(({ task }) => task)]);
        throw usageError(
          `"${options.data}" fits several tasks: ${name}, the usual one of this model, does not use all of its columns, and ${others.join(', ')}. Say which is meant: ${[...tasks].map((each) => `--task ${each}`).join(' or ')}.`,
        );
      }),
  };
}

/** Passes on the warnings about a task's data. Training does so by itself. */
export function withWarnings(task: Task, tell: (line: string) => void): Task {
  return watched(task, ({ warnings = [] }) => {
    for (const warning of warnings) tell(`warning: ${warning}`);
  });
}
