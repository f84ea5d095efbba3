"""The Table service by the SDK, with queries and transactions that are written and read here.

The way there (signing, repeating, connections) is the SDK's, and so is everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from azure.core.async_paging import AsyncItemPaged
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.state.queries import Position, read_position, read_records, write_query
from shared.state.transactions import Step, read_answers, write_transaction


class LeanTableClient(TableClient):
    """A table whose queries and transactions take less time."""

    def query_entities(
        self,
        query_filter: str,
        *,
        select: Sequence[str] | None = None,
        results_per_page: int | None = None,
        **options: Any,
    ) -> AsyncItemPaged[TableEntity]:
        """The records that match, in the order of their keys, page by page as they are asked for.

        Raises, when a page is asked for:
            ResourceNotFoundError: there is no such table.
            HttpResponseError: the service refused.
        """
        url = f"{self._base}/{self.table_name}"

        async def ask(position: Position | None) -> tuple[Mapping[str, str], bytes]:
            address = write_query(url, query_filter, select, results_per_page, position or {})
            accepted = {"Accept": "application/json;odata=minimalmetadata"}
            return await self._ask(HttpRequest("GET", address, headers=accepted), 200, options)

        async def read(answer: tuple[Mapping[str, str], bytes]) -> tuple[Position | None, list[TableEntity]]:
            headers, body = answer
            try:
                return read_position(headers), read_records(body)
            except ValueError as error:
                raise HttpResponseError("The service answered a query with something else.") from error

        return AsyncItemPaged(ask, read)

    async def submit_transaction(  # type: ignore[override]
        self, operations: Sequence[Step], **options: Any
    ) -> list[dict[str, str]]:
        """Do all of it or nothing; what each record became.

        Raises:
            TableTransactionError: a step was refused.
            HttpResponseError: the service refused the whole.
        """
        name = str(uuid4())
        request = HttpRequest(
            "POST",
            f"{self._base}/$batch",
            headers={
                "MaxDataServiceVersion": "3.0;NetFx",
                "Content-Type": f"multipart/mixed; boundary=batch_{name}",
                "Accept": "application/json",
            },
            content=write_transaction(f"{self._base}/{self.table_name}", operations, name),
        )
        _, body = await self._ask(request, 202, options)
        answers = read_answers(body)
        if len(answers) != len(operations):
            raise HttpResponseError("The service did not answer as many steps as a transaction had.")
        return answers

    @property
    def _base(self) -> str:
        return f"{self.scheme}://{self._primary_hostname}"

    async def _ask(
        self, request: HttpRequest, expected: int, options: Mapping[str, Any]
    ) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of the answer, if it has this status. Raises HttpResponseError."""
        request.headers.update({"x-ms-version": self.api_version, "DataServiceVersion": "3.0"})
        # Else the SDK would look for JSON in the answer.
        response = await self._client.send_request(request, stream=True, **options)
        body = await response.read()
        if response.status_code == 404:
            raise ResourceNotFoundError(response=response)
        if response.status_code != expected:
            raise HttpResponseError(response=response)
        return response.headers, body


class LeanTables(TableServiceClient):
    """The Table service with such tables."""

    def get_table_client(self, table_name: str, **options: Any) -> LeanTableClient:
        """One table, which need not exist; it uses the service's connections."""
        client = super().get_table_client(table_name, **options)
        # What it shares with the service is private; only the way of two methods is another.
        client.__class__ = LeanTableClient
        assert isinstance(client, LeanTableClient)
        return client
