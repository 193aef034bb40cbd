/** @file The task of a command: which it is and why, and what the user should know of its data. */

import type { Model } from '@onnx-lora/sdk';
import { didYouMean, guardedFactory, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import type { Context } from './context.ts';
import { flagsOfRun, notLoadedHint } from './plugins/asked.ts';
import type { ChosenAdapter } from './sources.ts';
import { usageError } from './terminal/errors.ts';

/**
 * The maker of the task: the one that the user names, or the one that the adapter was trained for, or the family's usual one. The
 * choice is told, with its reason. What the functions of the maker throw names the task.
 *
 * @param tell is given the line about the choice
 * @throws OnnxLoraError `CONFIG_INVALID` when there is no such task, or nothing says which; by `prepare` of a task that nobody
 *   named, when another task would learn columns of the data that it does not use
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
    // An adapter of a task for another domain than the model's has that loaded now.
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

/** The task, whose prepared form is looked at. */
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

/** The maker of tasks that refuse data of which another task would learn more. */
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

/** The task, of whose data the user is told what should be known. Training tells it by itself. */
export function withWarnings(task: Task, tell: (line: string) => void): Task {
  return watched(task, ({ warnings = [] }) => {
    for (const warning of warnings) tell(`warning: ${warning}`);
  });
}
