/** @file A program put together from services: the plugins, and what it brings itself, released when it ends. */

import { type Key, key, KIND, nodeModule, pluginsModule, Scope, type ServiceModule } from '@onnx-lora/sdk/composition';
import { seriesPlugin } from '../series/plugin.ts';
import { extrasPlugin } from './plugin.ts';

/** A service of the program's own: names of the tasks that it offers. */
export const MENU: Key<readonly string[]> = key('menu');

const own: ServiceModule = (provide) => {
  provide(MENU, (tasks) => tasks.map(({ name }) => name), [KIND.tasks]);
};

/**
 * The program. A test replaces a service by one line: `program((provide) => provide(MENU, () => ['forecast']))`.
 *
 * @example
 * await using scope = program();
 * const openModel = await scope.get(OPEN_MODEL);
 */
export function program(...replaced: readonly ServiceModule[]): Scope {
  return new Scope([nodeModule, pluginsModule([seriesPlugin, extrasPlugin]), own, ...replaced]);
}
