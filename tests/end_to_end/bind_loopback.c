/* Keeps a server that has no listen-address option on loopback: any bind() to all addresses becomes one to 127.0.0.1.
 *
 *   gcc -shared -fPIC -O2 -o bind_loopback.so bind_loopback.c -ldl
 *   LD_PRELOAD=$PWD/bind_loopback.so Orthanc configuration.json
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <string.h>

typedef int (*bind_function)(int, const struct sockaddr *, socklen_t);

int bind(int descriptor, const struct sockaddr *address, socklen_t length) {
  bind_function next = (bind_function)dlsym(RTLD_NEXT, "bind");
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } local;

  if (address == NULL || length > sizeof local) return next(descriptor, address, length);
  memcpy(&local, address, length);
  if (local.any.sa_family == AF_INET && local.four.sin_addr.s_addr == htonl(INADDR_ANY))
    local.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else if (local.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&local.six.sin6_addr))
    local.six.sin6_addr = in6addr_loopback;
  return next(descriptor, &local.any, length);
}
