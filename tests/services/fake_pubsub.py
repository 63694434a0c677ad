"""A Pub/Sub service in the test's own process, for what no emulator does: TLS and tokens, answers that fail on request, streams that
break, a server that goes away and comes back with its messages. Its rules are the service's: leases, redelivery in the order of
ordering keys, acknowledgements of exactly-once subscriptions that count only when confirmed.

    with FakePubsub() as fake:
        fake.create("orders")                     # topic and subscription projects/weir/{topics,subscriptions}/orders
        fake.publish("orders", [b"{}"])
        env = fake.env()
"""

import collections
import concurrent.futures
import itertools
import os
import threading
import time

from services.harness import free_port

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # its handlers crash a process that starts others while calls are under way
PROJECT = "weir"
SECOND_SUBSCRIPTION_DEADLINE = 10


def _pb(name):
    from google.pubsub_v1 import types

    return getattr(types, name).pb()


class Message:
    def __init__(self, number, pb):
        self.number, self.pb = number, pb
        self.attempts = 0

    @property
    def key(self):
        return self.pb.ordering_key


class Subscription:
    def __init__(self, exactly_once, ordering):
        self.exactly_once, self.ordering = exactly_once, ordering
        self.backlog = collections.deque()
        self.leased = {}  # ack id -> [message, until, who]
        self.acked = []   # message ids, in the order in which they were
        self.extended = collections.Counter()  # ack id -> ModifyAckDeadline with more than 0 seconds
        self.nacked = 0
        self.late_acks = 0

    def put_back(self, messages):
        """In the order of publication: of an ordering key, everything behind a message comes again with it."""
        keys = {m.key for m in messages if m.key}
        also = [ack_id for ack_id, (m, _until, _who) in self.leased.items() if m.key in keys]
        messages = messages + [self.leased.pop(ack_id)[0] for ack_id in also]
        self.backlog = collections.deque(sorted([*messages, *self.backlog], key=lambda m: m.number))

    def expire(self, now):
        late = [ack_id for ack_id, (_m, until, _who) in self.leased.items() if until < now]
        self.put_back([self.leased.pop(ack_id)[0] for ack_id in late])

    def take(self, who, most, seconds):
        """Leases messages to `who`; a key goes to one at a time."""
        taken, passed = [], []
        busy = {m.key: other for m, _until, other in self.leased.values() if m.key}
        while self.backlog and len(taken) < most:
            message = self.backlog.popleft()
            if message.key and busy.get(message.key, who) != who:
                passed.append(message)
                continue
            if message.key:
                busy[message.key] = who
            message.attempts += 1
            ack_id = f"ack-{message.number}-{message.attempts}"
            self.leased[ack_id] = [message, time.monotonic() + seconds, who]
            taken.append((ack_id, message))
        self.backlog.extendleft(reversed(passed))
        return taken


class FakePubsub:
    def __init__(self, certs=None, tokens=None):
        """certs: directory of server.crt and server.key (TLS then); tokens: callable that says whether a token is good."""
        self.certs, self.tokens = certs, tokens
        self.port = free_port()
        self.topics, self.subscriptions = {}, {}
        self.trouble = {}  # method -> function of the request: None, or (grpc.StatusCode, text)
        self.after = {}    # method -> function of the request: the same, once it has been done
        self.ack_failures = {}  # exactly once: message id -> "TRANSIENT_FAILURE_..." or "PERMANENT_FAILURE_...", once each
        self.calls = collections.Counter()
        self.stream_starts = []
        self.published = []
        self.delivered = []  # Messages, in the order of their last leases
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._epoch = 0  # streams of an older one end
        self._server = None

    # --- the test's side ---

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exception):
        self.stop()

    @property
    def address(self):
        return f"{'localhost' if self.certs else '127.0.0.1'}:{self.port}"

    def env(self):
        return {"PUBSUB_EMULATOR_HOST": self.address, "GOOGLE_CLOUD_PROJECT": PROJECT}

    def create(self, name, exactly_once=False, ordering=False):
        with self._changed:
            self.topics[f"projects/{PROJECT}/topics/{name}"] = f"projects/{PROJECT}/subscriptions/{name}"
            self.subscriptions[f"projects/{PROJECT}/subscriptions/{name}"] = Subscription(exactly_once, ordering)
        return name

    def of(self, name):
        return self.subscriptions[f"projects/{PROJECT}/subscriptions/{name}"]

    def publish(self, name, values, keys=None, attributes=None):
        messages = [_pb("PubsubMessage")(data=value, ordering_key=keys[i] if keys else "", attributes=attributes or {})
                    for i, value in enumerate(values)]
        return self._publish(f"projects/{PROJECT}/topics/{name}", messages)

    def counts(self, name):
        """(waiting, leased, acknowledged)"""
        with self._changed:
            s = self.of(name)
            return len(s.backlog), len(s.leased), len(s.acked)

    def break_streams(self):
        """Every stream ends with UNAVAILABLE."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    def start(self):
        import grpc

        pool = concurrent.futures.ThreadPoolExecutor(64)
        self._server = grpc.server(pool, options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0),
                                                  ("grpc.max_send_message_length", 64 << 20)])
        self._server.add_generic_rpc_handlers((self._handlers(),))
        if self.certs:
            credentials = grpc.ssl_server_credentials([((self.certs / "server.key").read_bytes(),
                                                        (self.certs / "server.crt").read_bytes())])
            bound = self._server.add_secure_port(f"localhost:{self.port}", credentials)
        else:
            bound = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        assert bound == self.port
        self._server.start()

    def stop(self):
        """Its messages stay, also those that are leased."""
        self.break_streams()
        self._server.stop(0).wait(10)

    # --- the service's side ---

    def _publish(self, topic, messages):
        with self._changed:
            ids = []
            for pb in messages:
                number = next(self._numbers)
                pb.message_id = str(number)
                pb.publish_time.FromMicroseconds(int(time.time() * 1e6))
                self.published.append(pb)
                self.subscriptions[self.topics[topic]].backlog.append(Message(number, pb))
                ids.append(pb.message_id)
            self._changed.notify_all()
        return ids

    def _handlers(self):
        import grpc

        unary = {"Publisher/Publish": ("PublishRequest", self._on_publish), "Subscriber/Pull": ("PullRequest", self._on_pull),
                 "Subscriber/Acknowledge": ("AcknowledgeRequest", self._on_acknowledge),
                 "Subscriber/ModifyAckDeadline": ("ModifyAckDeadlineRequest", self._on_modify)}
        table = {}
        for name, (request, function) in unary.items():
            table[f"/google.pubsub.v1.{name}"] = grpc.unary_unary_rpc_method_handler(
                self._checked(name, function), _pb(request).FromString, lambda answer: answer.SerializeToString())
        table["/google.pubsub.v1.Subscriber/StreamingPull"] = grpc.stream_stream_rpc_method_handler(
            self._on_stream, _pb("StreamingPullRequest").FromString, lambda answer: answer.SerializeToString())

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details):
                return table.get(details.method)

        return Handlers()

    def _refuse_strangers(self, context):
        import grpc

        if self.tokens is not None:
            word, _, token = dict(context.invocation_metadata()).get("authorization", "").partition(" ")
            if word != "Bearer" or not self.tokens(token):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not one of ours")

    def _checked(self, name, function):
        method = name.partition("/")[2]

        def call(request, context):
            self.calls[method] += 1
            self._refuse_strangers(context)
            wrong = self.trouble.get(method, lambda _r: None)(request)
            if wrong:
                context.abort(*wrong)
            answer = function(request, context)
            wrong = self.after.get(method, lambda _r: None)(request)
            if wrong:
                context.abort(*wrong)
            return answer

        return call

    def _find(self, table, name, context):
        import grpc

        if name not in table:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")
        return table[name]

    def _on_publish(self, request, context):
        import grpc

        self._find(self.topics, request.topic, context)
        if not request.messages:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The request must contain at least one message.")
        if len({m.ordering_key for m in request.messages}) > 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "All messages of a request have one ordering key.")
        return _pb("PublishResponse")(message_ids=self._publish(request.topic, request.messages))

    def _take(self, subscription, who, most, seconds):
        taken = subscription.take(who, most, seconds)
        self.delivered += [message for _ack_id, message in taken]
        return taken

    def _received(self, taken):
        return [_pb("ReceivedMessage")(ack_id=ack_id, message=message.pb) for ack_id, message in taken]

    def _on_pull(self, request, context):
        subscription = self._find(self.subscriptions, request.subscription, context)
        with self._changed:
            subscription.expire(time.monotonic())
            taken = self._take(subscription, "pull", request.max_messages, SECOND_SUBSCRIPTION_DEADLINE)
        return _pb("PullResponse")(received_messages=self._received(taken))

    def _on_acknowledge(self, request, context):
        subscription = self._find(self.subscriptions, request.subscription, context)
        failures = {}
        with self._changed:
            subscription.expire(time.monotonic())
            for ack_id in request.ack_ids:
                number = ack_id.split("-")[1]
                failure = self.ack_failures.pop(number, None) if subscription.exactly_once else None
                if failure is None and ack_id in subscription.leased:
                    subscription.acked.append(subscription.leased.pop(ack_id)[0].pb.message_id)
                elif subscription.exactly_once:
                    failures[ack_id] = failure or "PERMANENT_FAILURE_INVALID_ACK_ID"
                    if failures[ack_id].startswith("PERMANENT") and ack_id in subscription.leased:
                        subscription.put_back([subscription.leased.pop(ack_id)[0]])
                else:
                    subscription.late_acks += 1
            self._changed.notify_all()
        if failures:
            self._abort_with_details(context, failures)
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()

    def _abort_with_details(self, context, failures):
        import grpc
        from google.rpc import error_details_pb2, status_pb2
        from grpc_status import rpc_status

        status = status_pb2.Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="Some acknowledgements failed.")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="ACK", domain="pubsub.googleapis.com", metadata=failures))
        context.abort_with_status(rpc_status.to_status(status))

    def _on_modify(self, request, context):
        import grpc
        from google.protobuf import empty_pb2

        subscription = self._find(self.subscriptions, request.subscription, context)
        if not request.ack_ids:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "No ack ids specified.")
        with self._changed:
            back = []
            for ack_id in request.ack_ids:
                if ack_id not in subscription.leased:
                    continue
                if request.ack_deadline_seconds == 0:
                    subscription.nacked += 1
                    back.append(subscription.leased.pop(ack_id)[0])
                else:
                    subscription.extended[ack_id] += 1
                    subscription.leased[ack_id][1] = time.monotonic() + request.ack_deadline_seconds
            subscription.put_back(back)
            self._changed.notify_all()
        return empty_pb2.Empty()

    def _on_stream(self, requests, context):
        import grpc

        self.calls["StreamingPull"] += 1
        self._refuse_strangers(context)
        first = next(requests)
        wrong = self.trouble.get("StreamingPull", lambda _r: None)(first)
        if wrong:
            context.abort(*wrong)
        subscription = self._find(self.subscriptions, first.subscription, context)
        self.stream_starts.append(first)
        who, epoch = object(), self._epoch
        while context.is_active():
            with self._changed:
                subscription.expire(time.monotonic())
                mine = sum(other is who for _m, _until, other in subscription.leased.values())
                room = (first.max_outstanding_messages or 1 << 30) - mine
                taken = self._take(subscription, who, min(room, 500), first.stream_ack_deadline_seconds)
                if not taken:
                    self._changed.wait(0.05)
            if self._epoch != epoch:
                context.abort(grpc.StatusCode.UNAVAILABLE, "The stream ended.")
            if taken:
                answer = _pb("StreamingPullResponse")(received_messages=self._received(taken))
                answer.subscription_properties.exactly_once_delivery_enabled = subscription.exactly_once
                answer.subscription_properties.message_ordering_enabled = subscription.ordering
                yield answer
