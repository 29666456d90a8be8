/** Types that only the core can make values of. */

export declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
export type Awaitable<T> = T | Promise<T>;
